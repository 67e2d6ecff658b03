"""Batched inference over all processes."""

import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_store.errors import MmderError
from mmder_train.runtime.device import model_precision
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.memory import is_out_of_memory
from mmder_train.runtime.sharding import is_sharded

InputBatches = Iterable[tuple[Tensor, Any]]
"""Batches as pairs: positions of the clips, and the input of the model."""


@torch.inference_mode()
def collect_outputs(
    model: nn.Module,
    batches: InputBatches,
    *,
    device: torch.device,
    world: WorldInfo = SINGLE_PROCESS,
) -> tuple[Int64[Tensor, " clip"], Float[Tensor, "clip out"]]:
    """Return the positions of the clips in ascending order, and their outputs.

    Both are on the CPU. Each process applies the model to its own batches and receives
    the outputs of all processes. A clip that two processes have is returned once.

    Args:
        model: An encoder, a head or both. It is set to evaluation mode.
        batches: Batches of this process.
        device: Device of the model.
        world: Processes that share the batches.

    Raises:
        MmderError: If one clip does not fit in memory. A batch that does not fit is
            halved until it does.
    """
    model.eval()
    own_index, own_outputs = [], []
    size: int | None = None
    for positions, batch in batches:
        for part in _split(batch, size):
            outputs, size = _apply(model, part, device)
            own_outputs.append(outputs.float())
        own_index.append(positions)
    # Copied once. A copy after each batch would wait for the GPU.
    own = (torch.cat(own_index), torch.cat(own_outputs).cpu())
    gathered = world.all_gather(own)
    index, outputs = (torch.cat(side) for side in zip(*gathered, strict=True))
    order = index.argsort(stable=True)
    index = index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return index[first], outputs[order][first]


def average_views(
    views: Sequence[Float[Tensor, "clip class"]],
) -> Float[Tensor, "clip class"]:
    """Return logits whose softmax is the mean of the softmax of each view's logits.

    The logits of a single view are returned unchanged.
    """
    if len(views) == 1:
        return views[0]
    mean = torch.stack([logits.double().softmax(1) for logits in views]).mean(0)
    # A probability that underflows is 0, and its logarithm is not finite.
    return mean.clamp_min(torch.finfo(torch.float64).tiny).log()


def _split(batch: Any, size: int | None) -> Sequence[Any]:  # noqa: ANN401
    """Split a tensor into parts of a number of clips. Other inputs stay whole."""
    if size is None or not isinstance(batch, Tensor):
        return (batch,)
    return torch.split(batch, size)


def _apply(
    model: nn.Module,
    batch: Any,  # noqa: ANN401
    device: torch.device,
) -> tuple[Tensor, int | None]:
    """Apply a model to a batch, in smaller parts if it does not fit in memory.

    Returns:
        The outputs, and the number of clips that fit. It is None for an input that
        cannot be split.
    """
    size = len(batch) if isinstance(batch, Tensor) else None
    while True:
        try:
            with model_precision(model, device):
                outputs = [model(part) for part in _split(batch, size)]
            return torch.cat(outputs), size
        except (RuntimeError, MemoryError) as error:
            # All processes of divided weights need as many passes as each other.
            if not is_out_of_memory(error) or is_sharded(model):
                raise
            if size is None or size == 1:
                msg = (
                    "out of memory: one clip does not fit in an evaluation. Use a "
                    "smaller --encoder, or --device cpu."
                )
                raise MmderError(msg) from error
            # The frames of the failed pass hold its tensors until they are cleared.
            traceback.clear_frames(error.__traceback__)
        size = -(-size // 2)
