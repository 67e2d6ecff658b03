"""Tensors of a training state by name: weights, their averages, and AdamW's moments.

A weight that is divided among processes appears as a whole, so that a checkpoint does
not depend on the number of processes.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn, optim

from mmder_train.runtime.sharding import place_like, whole

BEST_PREFIX = "best."
EMA_PREFIX = "average."
MODEL_PREFIX = "model."
OPTIMIZER_PREFIX = "optimiser."


def module_tensors(prefix: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the name, with a prefix, and the current value of each tensor."""
    for name, tensor in module.state_dict().items():
        yield prefix + name, whole(tensor)


def optimizer_tensors(optimizer: optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the current value of each moment of an optimizer."""
    for number, values in optimizer.state_dict()["state"].items():
        for name, tensor in values.items():
            yield f"{OPTIMIZER_PREFIX}{number}.{name}", whole(tensor)


def load_optimizer(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load the moments that `optimizer_tensors` yielded.

    Args:
        optimizer: Optimizer of the same model.
        tensors: All tensors of a checkpoint.

    Raises:
        KeyError, ValueError, RuntimeError, IndexError: If they are of another model.
    """
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in select_prefix(OPTIMIZER_PREFIX, tensors).items():
        text, _, key = name.partition(".")
        number = int(text)
        # The number of steps is one value, which every process has.
        placed = place_like(tensor, parameters[number]) if tensor.ndim else tensor
        state.setdefault(number, {})[key] = placed
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def select_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, which is removed."""
    return {
        k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)
    }
