"""Copies of clips to a GPU that run next to its computation."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mmder_train.data.stored_arrays import RowSpec


@runtime_checkable
class Copied(Protocol):
    """End of some copies."""

    def synchronize(self) -> None:
        """Wait until the host memory of the copies may be written again."""
        ...


@runtime_checkable
class DeviceCopies(Protocol):
    """Memory on the host and on a device, and copies from one to the other."""

    def host_memory(self, spec: RowSpec, clips: int) -> Tensor:
        """Return new memory for some clips on the host."""
        ...

    def device_memory(self, spec: RowSpec, clips: int) -> Tensor:
        """Return new memory for some clips on the device."""
        ...

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Copied:
        """Begin to copy host memory to device memory.

        Computations that the caller starts later on the device see the copies.

        Args:
            pairs: Target on the device, and source on the host.
        """
        ...


class StreamCopies:
    """Copies on a CUDA stream of their own, from page-locked memory."""

    def __init__(self, device: torch.device) -> None:
        """Create the stream."""
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def host_memory(self, spec: RowSpec, clips: int) -> Tensor:
        """Return page-locked memory, from which the GPU copies by itself."""
        return torch.empty(clips, *spec.shape, dtype=spec.torch_dtype, pin_memory=True)

    def device_memory(self, spec: RowSpec, clips: int) -> Tensor:
        """Return memory of the GPU that belongs to the stream of the copies.

        Memory of the computing stream may still be in use by earlier computations, for
        which the copy would wait.
        """
        with torch.cuda.stream(self._stream):
            memory = torch.empty(
                clips, *spec.shape, dtype=spec.torch_dtype, device=self._device
            )
        memory.record_stream(torch.cuda.current_stream(self._device))
        return memory

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Copied:
        """Begin to copy; the computing stream waits for the end of the copies."""
        with torch.cuda.stream(self._stream):
            for target, source in pairs:
                target.copy_(source, non_blocking=True)
        event = self._stream.record_event()
        torch.cuda.current_stream(self._device).wait_event(event)
        copied: Copied = event
        return copied


def device_copies(device: torch.device) -> DeviceCopies | None:
    """Return the copies to a device. None for a CPU, which reads host memory."""
    return StreamCopies(device) if device.type == "cuda" else None
