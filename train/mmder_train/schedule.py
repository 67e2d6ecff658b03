"""The optimiser and its learning rate as a function of the step (pure)."""

from collections.abc import Callable

from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn, optim

WARM_UP = 0.1
"""Share of all steps in which the rate climbs."""


def adamw(model: nn.Module, *, lr: float, weight_decay: float) -> optim.AdamW:
    """Give AdamW over what of the model learns.

    Biases and norms do not decay, nor what a module names in `no_weight_decay`.
    """
    kept = {
        f"{name}.{parameter}" if name else parameter
        for name, module in model.named_modules()
        if hasattr(module, "no_weight_decay")
        for parameter in module.no_weight_decay()
    }
    groups = param_groups_weight_decay(model, weight_decay, no_weight_decay_list=kept)
    return optim.AdamW(groups, lr=lr, fused=True)


def constant(_: int) -> None:
    """Leave the rate as it is."""


def cosine(optimiser: optim.Optimizer, *, steps: int) -> Callable[[int], None]:
    """Give what sets the rate before a step: a straight climb, then half a cosine.

    Args:
        optimiser: Its rate is the highest.
        steps: Steps of the whole run.
    """
    warm_up = int(steps * WARM_UP)
    scheduler = CosineLRScheduler(
        optimiser,
        t_initial=steps,
        warmup_t=warm_up,
        warmup_lr_init=0.0,
        t_in_epochs=False,
    )

    def set_rate(step: int) -> None:
        # Counted from 1, or the first step would be taken with a rate of 0.
        scheduler.step_update(min(step + 1, steps - 1))

    return set_rate
