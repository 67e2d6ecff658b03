"""The optimiser and its learning rate as a function of the step (pure)."""

from collections.abc import Callable
from typing import Any

from timm.optim import (  # type: ignore[attr-defined]
    param_groups_layer_decay,
    param_groups_weight_decay,
)
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn, optim

PATCHES = "patch_embed.proj.weight"


def create_optimizer(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    patch_rate: float = 1.0,
    layer_decay: float = 1.0,
) -> optim.AdamW:
    """Give AdamW over what of the model learns.

    Biases and norms do not decay, nor what a module names in `no_weight_decay`.

    Args:
        model: An encoder, a head or both.
        lr: Highest rate.
        weight_decay: Of all others.
        patch_rate: Share of the rate that the projection of patches takes. A step of
            Adam moves each weight alike, and so the sum over a patch by as much as
            the patch has pixels that are alike: large smooth patches want far less.
            The scheduler of timm multiplies by it.
        layer_decay: Share of the rate of the layer above that each layer takes, from
            the head (1) down to the patches (BEiT, arXiv 2106.08254).
    """
    kept = {
        f"{name}.{parameter}" if name else parameter
        for name, module in model.named_modules()
        if hasattr(module, "no_weight_decay")
        for parameter in module.no_weight_decay()
    }
    groups: list[dict[str, Any]]
    if layer_decay == 1:
        groups = param_groups_weight_decay(
            model, weight_decay, no_weight_decay_list=kept
        )
    else:
        groups = param_groups_layer_decay(
            model, weight_decay, no_weight_decay_list=kept, layer_decay=layer_decay
        )
    if patch_rate != 1:
        slow = {id(p) for n, p in model.named_parameters() if n.endswith(PATCHES)}
        groups = [
            {
                **group,
                "params": [p for p in group["params"] if (id(p) in slow) == scaled],
                "lr_scale": group.get("lr_scale", 1.0) * (patch_rate if scaled else 1),
            }
            for group in groups
            for scaled in (False, True)
        ]
        groups = [group for group in groups if group["params"]]
    return optim.AdamW(groups, lr=lr, fused=True)


def constant_lr(_: int) -> None:
    """Leave the rate as it is."""


def warmup_cosine(
    optimiser: optim.Optimizer, *, steps: int, warm_up: float
) -> Callable[[int], None]:
    """Give what sets the rate before a step: a straight climb, then half a cosine.

    Args:
        optimiser: Its rate is the highest.
        steps: Steps of the whole run.
        warm_up: Share of them in which the rate climbs.
    """
    scheduler = CosineLRScheduler(
        optimiser,
        t_initial=steps,
        warmup_t=int(steps * warm_up),
        warmup_lr_init=0.0,
        t_in_epochs=False,
    )

    def set_rate(step: int) -> None:
        # Counted from 1, or the first step would be taken with a rate of 0.
        scheduler.step_update(min(step + 1, steps - 1))

    return set_rate
