"""Batched inference over all processes."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.runtime.device import mixed_precision
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo

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
    """
    model.eval()
    pairs = []
    for positions, batch in batches:
        with mixed_precision(device):
            output = model(batch)
        pairs.append((positions, output.float().cpu()))
    gathered = [pair for own in world.all_gather(pairs) for pair in own]
    index, outputs = (torch.cat(side) for side in zip(*gathered, strict=True))
    order = index.argsort(stable=True)
    index = index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return index[first], outputs[order][first]
