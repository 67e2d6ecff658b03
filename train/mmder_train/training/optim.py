"""AdamW with weight decay by parameter, and learning rate schedules by step."""

from collections.abc import Callable
from typing import Any

from timm.optim import (  # type: ignore[attr-defined]
    param_groups_layer_decay,
    param_groups_weight_decay,
)
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn, optim

PATCH_PROJECTION = "patch_embed.proj.weight"
"""Suffix of the parameter that projects patches to tokens."""


def create_optimizer(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    patch_lr_scale: float = 1.0,
    layer_decay: float = 1.0,
) -> optim.AdamW:
    """Return AdamW over the trainable parameters of a model.

    Biases, norms and the parameters named by a module's `no_weight_decay` are not
    decayed.

    Args:
        model: An encoder, a head or both.
        lr: Highest learning rate.
        weight_decay: Weight decay of all other parameters.
        patch_lr_scale: Factor on the learning rate of the patch projection. A step of
            Adam moves each weight by the same amount. Over a patch whose pixels are
            alike these moves add up, so large smooth patches need a far lower rate.
            timm's scheduler applies the factor.
        layer_decay: Learning rate of a layer relative to the layer above it, from the
            head (1) down to the patches (BEiT, arXiv 2106.08254).
    """
    no_decay = {
        f"{name}.{parameter}" if name else parameter
        for name, module in model.named_modules()
        if hasattr(module, "no_weight_decay")
        for parameter in module.no_weight_decay()
    }
    groups: list[dict[str, Any]]
    if layer_decay == 1:
        groups = param_groups_weight_decay(
            model, weight_decay, no_weight_decay_list=no_decay
        )
    else:
        groups = param_groups_layer_decay(
            model, weight_decay, no_weight_decay_list=no_decay, layer_decay=layer_decay
        )
    if patch_lr_scale != 1:
        groups = _scale_patch_lr(model, groups, patch_lr_scale)
    return optim.AdamW(groups, lr=lr, fused=True)


def _scale_patch_lr(
    model: nn.Module, groups: list[dict[str, Any]], scale: float
) -> list[dict[str, Any]]:
    """Return the groups, with patch projections in groups of their own."""
    patches = {
        id(p) for n, p in model.named_parameters() if n.endswith(PATCH_PROJECTION)
    }
    split = [
        {
            **group,
            "params": [p for p in group["params"] if (id(p) in patches) == scaled],
            "lr_scale": group.get("lr_scale", 1.0) * (scale if scaled else 1),
        }
        for group in groups
        for scaled in (False, True)
    ]
    return [group for group in split if group["params"]]


def constant_lr(_: int) -> None:
    """Leave the learning rate unchanged."""


def warmup_cosine(
    optimizer: optim.Optimizer, *, steps: int, warmup: float
) -> Callable[[int], None]:
    """Return a function that sets the learning rate before a step.

    The learning rate rises linearly, then follows half a cosine.

    Args:
        optimizer: Its learning rate is the highest of the schedule.
        steps: Number of steps of the fold.
        warmup: Fraction of the steps in which the learning rate rises.
    """
    scheduler = CosineLRScheduler(
        optimizer,
        t_initial=steps,
        warmup_t=int(steps * warmup),
        warmup_lr_init=0.0,
        t_in_epochs=False,
    )

    def set_lr(step: int) -> None:
        # Counted from 1, or the learning rate of the first step would be 0.
        scheduler.step_update(min(step + 1, steps - 1))

    return set_lr
