"""Copies of tensors in host memory, which a thread can write during training."""

from collections.abc import Iterable

import torch
from torch import Tensor


class HostCopies:
    """Buffers in host memory for the tensors of a training state.

    The buffers are kept for the next copy. Those of a GPU's tensors are pinned, so that
    the GPU copies at the full rate of the bus.
    """

    def __init__(self) -> None:
        """Create the copies without any buffer."""
        self._buffers: dict[str, Tensor] = {}

    def copy(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        """Return copies of tensors, by name. Those of the last call are overwritten.

        Args:
            named: Names and tensors, on any device. They are read one at a time.
        """
        copies: dict[str, Tensor] = {}
        gpu = False
        for name, tensor in named:
            copies[name] = self._buffer(name, tensor)
            copies[name].copy_(tensor, non_blocking=True)
            gpu |= tensor.is_cuda
        if gpu:
            # The copies follow the step on its stream, and the next step may begin.
            torch.cuda.current_stream().synchronize()
        self._buffers = copies
        return copies

    def _buffer(self, name: str, tensor: Tensor) -> Tensor:
        kept = self._buffers.get(name)
        if kept is not None and (kept.shape, kept.dtype) == (
            tensor.shape,
            tensor.dtype,
        ):
            return kept
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
