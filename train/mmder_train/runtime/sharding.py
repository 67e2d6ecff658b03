"""Weights that are divided among training processes (FSDP2, fully sharded).

Each process keeps a part of every parameter, gradient and moment of the optimizer. A
block's whole parameters exist only while the block is computed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmder_store.errors import SettingsError
from mmder_train.runtime.distributed import WorldInfo


def shard_model(
    model: nn.Module, blocks: Iterable[nn.Module], *, kind: str, world: WorldInfo
) -> None:
    """Divide the parameters of a model among all processes, in place.

    All processes must have equal parameters. An optimizer must be created afterwards.

    Args:
        model: Model on the device of this process.
        blocks: Parts of the model whose parameters are gathered at a time. The
            remaining parameters are gathered together.
        kind: Kind of device, ``cpu`` or ``cuda``.
        world: Processes that train together.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(kind, (world.world_size,))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def check_shardable(
    *, method: str, world_size: int, compiled: bool, option: str = "--shard-weights"
) -> None:
    """Check that the weights of a run can be divided.

    Args:
        method: Training method.
        world_size: Number of training processes.
        compiled: True if blocks are compiled.
        option: Option that divides the weights, for messages.

    Raises:
        SettingsError: If they cannot.
    """
    if method != "finetune":
        msg = (
            f"{option}: has no effect with --method {method}, whose frozen encoder has "
            "no gradients and no moments. Omit it."
        )
    elif world_size == 1:
        msg = (
            f"{option}: there is one process. Start several with torchrun "
            "--nproc-per-node, or omit it."
        )
    elif compiled:
        msg = f"{option}: not implemented together with --compile. Omit one of them."
    else:
        return
    raise SettingsError(msg)


def is_sharded(model: nn.Module) -> bool:
    """Return whether the parameters of a model are divided among processes."""
    return any(hasattr(p, "full_tensor") for p in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor without its gradient function, gathered if it is divided.

    All processes must call it for a divided tensor.
    """
    tensor = tensor.detach()
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def place_like(tensor: Tensor, reference: Tensor) -> Tensor:
    """Return a whole tensor, divided like a reference if that is divided.

    All processes must call it then. The first one sends each other one its part.
    """
    if not hasattr(reference, "full_tensor"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(reference, DTensor)
    return distribute_tensor(
        tensor.to(reference.device),
        reference.device_mesh,
        reference.placements,
    )


def load_whole(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load whole tensors into a module, which may be divided among processes.

    Raises:
        KeyError, RuntimeError: If the tensors are not those of the module.
    """
    own: dict[str, Any] = module.state_dict()
    module.load_state_dict(
        {
            name: place_like(tensor, own[name]) if name in own else tensor
            for name, tensor in tensors.items()
        }
    )


@torch.no_grad()
def whole_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """Return copies on the CPU of all tensors of a module, gathered if divided.

    All processes must call it for a divided module.
    """
    return {name: whole(t).cpu().clone() for name, t in module.state_dict().items()}
