"""Recipes (named presets), and the defaults of each training method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmder_store.errors import SettingsError

BASE_CLIPS = 256
"""Number of clips per step for which a `base_lr` is the learning rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A named preset of settings."""

    settings: Mapping[str, Any]
    """Values by their field name in `TrainConfig`. `base_lr` is the learning rate per
    256 clips; it is scaled with the batch size (see `scale_lr`)."""
    source: str
    """Origin of the values."""
    pretrained: bool = False
    """True if the recipe is for an encoder with pretrained weights."""


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
    # Paper: nothing. For an encoder with random initial weights.
    "finetune": {"epochs": 30, "batch_size": 8, "lr": 1e-3},
}
"""Defaults of each training method, used for settings that neither the user nor the
recipe names."""

# VideoMAE: run_class_finetuning.py at 14ef8d8, defaults of its options. A learning rate
# of 1e-3 for 8 clips would destroy pretrained weights.
PRETRAINED_FINETUNE: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 8,
    "base_lr": 1e-3,
    "layer_decay": 0.75,
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "head_init_scale": 0.001,
}
"""Defaults of fine-tuning if the encoder has pretrained weights."""

_PAPER = {
    "method": "linear-probe",
    # Paper: III-A, "ViT-L as the backbone network".
    "encoder": "large",
    **METHODS["linear-probe"],
    **PAPER_SPECTROGRAMS,
    "weight_decay": 0.05,
}
_VIDEOMAE = {
    "method": "finetune",
    "batch_size": 16,
    "weight_decay": 0.05,
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "head_init_scale": 0.001,
    "mixup": 0.8,
    "cutmix": 1.0,
    "augment": "video",
    "erase": 0.25,
}
"""Values of run_class_finetuning.py that no script of VideoMAE changes. The batch size
and `augment` are ours: its RandAugment distorts faces."""

RECIPES = {
    "paper": Recipe(
        source="MultiMAE-DER, III-A (encoder), figures 2 and 4 (spectrograms), IV-B3 "
        "(AdamW, learning rate, weight decay); epochs and batch size of the authors' "
        "release",
        pretrained=True,
        settings=_PAPER,
    ),
    "release": Recipe(
        source="the authors' release: images divided by one standard deviation; the "
        "rest as `paper`",
        pretrained=True,
        settings=_PAPER | {"image_norm": "release"},
    ),
    "videomae": Recipe(
        source="VideoMAE (arXiv 2203.12602): run_class_finetuning.py at 14ef8d8, the "
        "values that its Kinetics scripts share",
        pretrained=True,
        settings=_VIDEOMAE
        | {"epochs": 50, "base_lr": 1e-3, "layer_decay": 0.75, "drop_path": 0.1},
    ),
    "videomae-ucf101": Recipe(
        source="VideoMAE for small data: scripts/ucf101/videomae_vit_base_patch16_224_"
        "tubemasking_ratio_0.75_epoch_3200/finetune.sh at cece388",
        pretrained=True,
        settings=_VIDEOMAE
        | {
            "epochs": 100,
            "base_lr": 5e-4,
            "warmup": 0.05,
            "layer_decay": 0.7,
            "drop_path": 0.2,
            "head_dropout": 0.5,
        },
    ),
    "scratch": Recipe(
        source="ours, for a thousand clips of audio and an encoder without weights; "
        "chosen on the speakers that fold 1 of RAVDESS trains on",
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


def resolve_settings(
    given: Mapping[str, Any], recipe: str | None, *, pretrained: bool = False
) -> dict[str, Any]:
    """Return the settings of a run.

    The user's settings take precedence over the recipe's, and those over the defaults
    of the training method.

    Args:
        given: Settings named by the user. Their learning rate is not scaled.
        recipe: A key of `RECIPES`, or None.
        pretrained: True if the encoder starts from pretrained weights.

    Raises:
        SettingsError: If the recipe needs pretrained weights, there are none, and the
            user names no encoder that may start at random.
    """
    chosen = RECIPES[recipe] if recipe else None
    if chosen and chosen.pretrained and not pretrained and "encoder" not in given:
        msg = (
            f"--recipe {recipe}: needs pretrained weights, and --weights names none. "
            "Use VideoMAE's ViT-L, the encoder of the paper: --weights "
            "hf:MCG-NJU/videomae-large, or a file from github.com/MCG-NJU/VideoMAE. To "
            "try the recipe with random weights, name an encoder: --encoder tiny."
        )
        raise SettingsError(msg)
    settings = {"method": "linear-probe"} | dict(chosen.settings if chosen else {})
    method = given.get("method", settings["method"])
    if chosen and method != settings["method"]:
        msg = (
            f"--method {method}: --recipe {recipe} is for {settings['method']}. Leave "
            "one of them out."
        )
        raise SettingsError(msg)
    settings |= given
    defaults = METHODS[method]
    if method == "finetune" and pretrained and chosen is None:
        defaults = PRETRAINED_FINETUNE
    settings = {**defaults, **settings, "recipe": recipe or "none"}
    return scale_lr(settings, absolute="lr" in given)


def scale_lr(settings: Mapping[str, Any], *, absolute: bool) -> dict[str, Any]:
    """Return settings whose `lr` is their `base_lr` times the batch size over 256.

    Source: VideoMAE, run_class_finetuning.py, ``args.lr * total_batch_size / 256``.

    Args:
        settings: Settings with `batch_size`, and `base_lr` or `lr`.
        absolute: True to keep `lr`, because the user named it.
    """
    scaled = dict(settings)
    base_lr = scaled.pop("base_lr", None)
    if base_lr is not None and not absolute:
        scaled |= {"base_lr": base_lr}
        scaled["lr"] = base_lr * scaled["batch_size"] / BASE_CLIPS
    return scaled
