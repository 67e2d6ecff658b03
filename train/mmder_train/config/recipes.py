"""Presets by name: settings that hold where the user names no other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Settings by their name in `TrainConfig`, and where they are from."""

    settings: Mapping[str, Any]
    source: str


METHODS: dict[str, Mapping[str, Any]] = {
    # Paper: IV-B3, "base learning rate of 1e-2"; epochs and batch are open and are
    # the release's. Constant, as in the release.
    "linear-probe": {"epochs": 100, "batch_size": 16, "lr": 1e-2},
    # Paper: nothing. For an encoder that starts from random weights; one that was
    # trained before wants about a tenth of this rate.
    "finetune": {"epochs": 30, "batch_size": 8, "lr": 1e-3},
}
"""What a way of tuning takes where neither the user nor a recipe names it."""

RECIPES = {
    "paper": Recipe(
        source="MultiMAE-DER, IV-B3; what it leaves open as in its release",
        settings={
            "method": "linear-probe",
            **METHODS["linear-probe"],
            "weight_decay": 0.05,
        },
    ),
    "release": Recipe(
        source="the paper's release: its pictures are divided by one spread",
        settings={
            "method": "linear-probe",
            **METHODS["linear-probe"],
            "weight_decay": 0.05,
            "spectrogram": "mfcc",
            "image_norm": "release",
        },
    ),
    "videomae": Recipe(
        source="VideoMAE (arXiv 2203.12602), fine-tuning on Kinetics",
        settings={
            "method": "finetune",
            "epochs": 50,
            "batch_size": 16,
            # Theirs is 1e-3 for 256 clips a step, and falls with them.
            "lr": 1e-3 * 16 / 256,
            "weight_decay": 0.05,
            "warmup": 0.1,
            "layer_decay": 0.75,
            "drop_path": 0.1,
            "label_smoothing": 0.1,
            "mixup": 0.8,
            "cutmix": 1.0,
            "augment": "video",
        },
    ),
    "scratch": Recipe(
        source="ours, for a thousand clips of sound and an encoder without weights",
        settings={
            "method": "finetune",
            "encoder": "tiny-56",
            "spectrogram": "mel",
            "colormap": "gray",
            "spectrogram_norm": "fixed",
            "epochs": 80,
            "batch_size": 32,
            "lr": 2e-3,
            "patch_lr_scale": 0.015,
            "augment": "audio",
            "label_smoothing": 0.1,
            "drop_tokens": 0.5,
        },
    ),
}


def resolve_settings(given: Mapping[str, Any], recipe: str | None) -> dict[str, Any]:
    """Give settings: the user's, then the recipe's, then those of the way of tuning.

    Args:
        given: What the user named.
        recipe: A row of `RECIPES`, or None.
    """
    known = {"method": "linear-probe"} | dict(
        RECIPES[recipe].settings if recipe else {}
    )
    known |= given
    return {**METHODS[known["method"]], **known, "recipe": recipe or "none"}
