"""TODO."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.runtime.device import mixed_precision
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo

Inputs = Iterable[tuple[Tensor, Tensor]]
"""Positions of a batch's clips, and what the model takes of them."""


@torch.inference_mode()
def collect_outputs(
    model: nn.Module,
    batches: Inputs,
    *,
    device: torch.device,
    group: WorldInfo = SINGLE_PROCESS,
) -> tuple[Int64[Tensor, " clip"], Float[Tensor, "clip out"]]:
    """Give the positions of clips, ascending, and what the model makes of them.

    Both are on the CPU. Of several processes, each applies the model to its own
    batches, and all get all; a clip that two of them had counts once.
    """
    model.eval()
    found = []
    for positions, batch in batches:
        with mixed_precision(device):
            result = model(batch)
        found.append((positions, result.float().cpu()))
    every = [pair for own in group.all_gather(found) for pair in own]
    index, out = (torch.cat(side) for side in zip(*every, strict=True))
    order = index.argsort(stable=True)
    index = index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return index[first], out[order][first]
