"""Recipes (named presets), and the defaults of each training method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A named preset of settings."""

    settings: Mapping[str, Any]
    """Values by their field name in `TrainConfig`."""
    source: str
    """Origin of the values."""


PAPER_SPECTROGRAMS = {
    "spectrogram": "mfcc",
    "colormap": "viridis",
    "spectrogram_norm": "window",
}
"""Spectrograms as in the paper's figures 2 and 4, as far as they show them."""

METHODS: dict[str, Mapping[str, Any]] = {
    # Paper: IV-B3, "base learning rate of 1e-2". The paper leaves epochs and batch
    # size open; they are the release's. Constant learning rate, as in the release.
    "linear-probe": {"epochs": 100, "batch_size": 16, "lr": 1e-2},
    # Paper: nothing. For an encoder with random initial weights. A pretrained encoder
    # needs about a tenth of this learning rate.
    "finetune": {"epochs": 30, "batch_size": 8, "lr": 1e-3},
}
"""Defaults of each training method, used for settings that neither the user nor the
recipe names."""

RECIPES = {
    "paper": Recipe(
        source="MultiMAE-DER, IV-B3; what it leaves open as in its release",
        settings={
            "method": "linear-probe",
            **METHODS["linear-probe"],
            **PAPER_SPECTROGRAMS,
            "weight_decay": 0.05,
        },
    ),
    "release": Recipe(
        source="the paper's release: its images are divided by one standard deviation",
        settings={
            "method": "linear-probe",
            **METHODS["linear-probe"],
            **PAPER_SPECTROGRAMS,
            "weight_decay": 0.05,
            "image_norm": "release",
        },
    ),
    "videomae": Recipe(
        source="VideoMAE (arXiv 2203.12602), fine-tuning on Kinetics",
        settings={
            "method": "finetune",
            "epochs": 50,
            "batch_size": 16,
            # VideoMAE uses 1e-3 for 256 clips per step, scaled with that number.
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
        source="ours, for a thousand clips of audio and an encoder without weights",
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
    """Return the settings of a run.

    The user's settings take precedence over the recipe's, and those over the defaults
    of the training method.

    Args:
        given: Settings named by the user.
        recipe: A key of `RECIPES`, or None.
    """
    settings = {"method": "linear-probe"} | dict(
        RECIPES[recipe].settings if recipe else {}
    )
    settings |= given
    return {**METHODS[settings["method"]], **settings, "recipe": recipe or "none"}
