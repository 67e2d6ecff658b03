"""Batched inference over all processes."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.runtime.device import model_precision
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo

InputBatches = Iterable[tuple[Tensor, Tensor]]
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
    own_index, own_outputs = [], []
    for positions, batch in batches:
        with model_precision(model, device):
            output = model(batch)
        own_index.append(positions)
        own_outputs.append(output.float())
    # Copied once. A copy after each batch would wait for the GPU.
    own = (torch.cat(own_index), torch.cat(own_outputs).cpu())
    gathered = world.all_gather(own)
    index, outputs = (torch.cat(side) for side in zip(*gathered, strict=True))
    order = index.argsort(stable=True)
    index = index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return index[first], outputs[order][first]
