"""The options of `mmder-train` that determine the numbers of a run.

Nothing heavy is imported here: names of choices are written out, and a test compares
them and the defaults with the tables and `TrainConfig`.
"""

from collections.abc import Callable
from typing import Any

import click

STRATEGIES = ("cfas", "sfas", "ffls", "fslf", "ofos", "rfas", "video", "audio")
ENCODERS = ("tiny", "tiny-56", "small", "base", "large", "huge", "giant", "mae-dfer")
RECIPES = ("paper", "release", "videomae", "scratch")
IMAGE_NORMS = ("imagenet", "half", "none", "release")


class Strategies(click.ParamType[Any]):
    """Names between commas; ``all`` stands for each."""

    name = "NAME[,NAME...]|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Give the names, each one that is known."""
        if isinstance(value, tuple):
            return value
        names = tuple(n.strip() for n in str(value).split(","))
        if names == ("all",):
            return STRATEGIES
        for name in names:
            if name not in STRATEGIES:
                self.fail(
                    f"{name!r} is none of {', '.join(STRATEGIES)}, all.", param, ctx
                )
        return names


class Parts(click.ParamType[Any]):
    """Names between commas."""

    name = "PART[,PART...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Give the names that are not empty."""
        if isinstance(value, tuple):
            return value
        return tuple(n.strip() for n in str(value).split(",") if n.strip())


class Fold(click.ParamType[Any]):
    """A number from 1, or ``all``, which is None."""

    name = "K|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Give the number, or None for all."""
        if value == "all":
            return None
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r}: expected a number from 1, or all.", param, ctx)
        return number


def _number(name: str, default: float, text: str) -> Callable[[Any], Any]:
    kind = int if isinstance(default, int) else float
    return click.option(name, type=kind, default=default, help=text)


def _choice(name: str, choices: tuple[str, ...], text: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Choice(choices), default=choices[0], help=text)


allow_missing_option = click.option(
    "--allow-missing",
    type=Parts(),
    default=(),
    help="Parts of the encoder that may start at random.",
)

_SETTINGS = (
    click.option(
        "--strategy",
        "strategies",
        type=Strategies(),
        multiple=True,
        default=("cfas",),
        help=f"What the encoder sees: {', '.join(STRATEGIES)}; may be repeated.",
    ),
    _choice(
        "--spectrogram",
        ("mfcc", "stft", "mel"),
        "Spectrogram that stands for the sound.",
    ),
    _choice("--colormap", ("viridis", "gray"), "What spectrograms are painted with."),
    _choice(
        "--spectrogram-norm",
        ("window", "clip", "fixed"),
        "Over what a spectrogram is stretched to all colours.",
    ),
    click.option(
        "--encoder",
        type=click.Choice(ENCODERS),
        help="VideoMAE by size, or MAE-DFER's.  [default: what the weights fit, or "
        "tiny]",
    ),
    allow_missing_option,
    click.option(
        "--norm-eps",
        type=float,
        help="Of the encoder's LayerNorms.  [default: what the weights expect]",
    ),
    click.option(
        "--pool",
        type=click.Choice(("mean", "region")),
        help="Tokens that are averaged.  [default: what the weights expect]",
    ),
    click.option(
        "--pos-embed/--no-pos-embed",
        default=None,
        help="Add fixed positions.  [default: what the weights expect]",
    ),
    click.option(
        "--image-norm",
        type=click.Choice(IMAGE_NORMS),
        help="Normalisation of pictures.  [default: what the weights expect]",
    ),
    _choice(
        "--method",
        ("linear-probe", "finetune"),
        "Train a head on the frozen encoder (the paper), or everything.",
    ),
    click.option("--labels", help="Label set.  [default: the store's first]"),
    click.option(
        "--protocol",
        help="Folds named by the store, or speakers-5.  [default: the store's first]",
    ),
    click.option("--fold", type=Fold(), default="all", help="Fold that is tested."),
    click.option(
        "--epochs", type=int, help="Passes.  [default: linear-probe 100, finetune 30]"
    ),
    click.option(
        "--batch-size",
        type=int,
        help="Clips a step.  [default: linear-probe 16, finetune 8]",
    ),
    _number(
        "--grad-accum-steps", 1, "Parts that a step's clips pass in, for less memory."
    ),
    click.option(
        "--lr",
        type=float,
        help="Rate of AdamW.  [default: linear-probe 1e-2, finetune 1e-3]",
    ),
    _number("--weight-decay", 0.05, "Weight decay of AdamW."),
    _number("--warmup", 0.1, "Share of the steps in which the rate climbs."),
    _number("--layer-decay", 1.0, "Share of the rate of the layer above."),
    _number(
        "--patch-lr-scale", 1.0, "Share of the rate for the projection of patches."
    ),
    _choice(
        "--augment",
        ("none", "audio", "video", "all"),
        "Vary loudness and pitch, or light and place of the faces, at every step.",
    ),
    _number("--mask", 0.0, "Share of a spectrogram that is masked, each way."),
    _number("--mixup", 0.0, "Alpha of Mixup; VideoMAE takes 0.8."),
    _number("--cutmix", 0.0, "Alpha of CutMix; VideoMAE takes 1."),
    _number("--label-smoothing", 0.0, "Share of a target spread over all classes."),
    _number("--drop-path", 0.0, "Share of clips that pass the last block by."),
    _number(
        "--drop-tokens",
        0.0,
        "Share of a clip's tokens that a training step leaves out.",
    ),
    _number("--clip-grad", 0.0, "Longest gradient; 0 for any."),
    _number(
        "--ema-decay", 0.0, "Decay of the mean of weights that is tested; 0 for none."
    ),
    _choice(
        "--val",
        ("none", "speakers"),
        "Who chooses the tested epoch: nobody (the last), or speakers kept aside.",
    ),
    _number("--patience", 0, "Epochs without gain in --val that end a fold."),
    click.option(
        "--report-best-test-epoch",
        is_flag=True,
        help="Also tell the best test epoch, labelled so.",
    ),
    _number("--seed", 0, "Seed of all that is drawn."),
    click.option("--rfas-resample", is_flag=True, help="Draw RFAS anew each epoch."),
    click.option("--compile", is_flag=True, help="Compile the encoder's blocks."),
    click.option(
        "--checkpoint-activations",
        is_flag=True,
        help="Less memory for --method finetune, a third more time.",
    ),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all options that determine numbers."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command
