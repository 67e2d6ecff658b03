"""Options of `mmder-train pretrain`.

Nothing heavy is imported here. A test compares the choices and the defaults with the
tables and with `PretrainConfig`.
"""

from collections.abc import Callable
from typing import Any

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.config_file import config_option
from mmder_train.cli.option_types import STRATEGIES, PartNames, SeedNumber
from mmder_train.cli.options import (
    DATA,
    ENCODERS,
    EVALUATION,
    MODEL,
    OPTIMIZATION,
    OUTPUT,
    SPECTROGRAM_OPTIONS,
    Decorator,
    choice_option,
    device_option,
    image_norm_option,
    number_option,
    out_option,
    tensorboard_option,
    verbose_option,
    weights_option,
)

MASKS = "Masks and targets"


PRETRAIN_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--store",
        "stores",
        required=True,
        multiple=True,
        type=LocalPath(),
        help="Sealed store written by mmder-prep; can be repeated.",
        panel=DATA,
    ),
    click.option(
        "--exclude-fold",
        type=click.IntRange(min=1),
        help="Fold of --protocol whose test speakers are not seen.",
        panel=DATA,
    ),
    click.option(
        "--protocol",
        default="",
        help="Folds of --exclude-fold.  [default: the first of the only store]",
        panel=DATA,
    ),
    click.option(
        "--exclude-speakers",
        type=PartNames(),
        default=(),
        metavar="NAME[,NAME...]",
        help="Speakers that are not seen, in any store.",
        panel=DATA,
    ),
    click.option(
        "--strategy",
        type=click.Choice(STRATEGIES, case_sensitive=False),
        default="fslf",
        help="Fusion strategy of the input.",
        panel=MODEL,
    ),
    click.option(
        "--encoder",
        type=click.Choice(ENCODERS),
        help="Size of VideoMAE.  [default: the one that the weights fit, else tiny]",
        panel=MODEL,
    ),
    weights_option,
    image_norm_option,
    *SPECTROGRAM_OPTIONS,
    number_option("--mask-video", 0.9, "Fraction of the faces that is hidden.", MASKS),
    number_option(
        "--mask-audio", 0.8, "Fraction of the spectrograms that is hidden.", MASKS
    ),
    choice_option(
        "--audio-mask",
        ("tube", "frequency", "time"),
        "Shape of the masks of spectrograms: patches, or bands of frequency or time.",
        MASKS,
    ),
    number_option(
        "--hide-modality",
        0.25,
        "Fraction of the steps that hide all faces or all spectrograms.",
        MASKS,
    ),
    choice_option(
        "--target",
        ("pixels", "motion"),
        "Predicted values: pixels, or for faces their change from frame to frame.",
        MASKS,
    ),
    choice_option(
        "--augment",
        ("none", "audio", "video", "all"),
        "Random loudness and pitch (audio); flip, crop and color of faces (video).",
        MASKS,
    ),
    number_option("--epochs", 100, "Number of training epochs.", OPTIMIZATION),
    number_option(
        "--batch-size",
        16,
        "Number of clips per optimizer step, over all processes.",
        OPTIMIZATION,
    ),
    number_option(
        "--grad-accum-steps",
        1,
        "Number of micro-batches per optimizer step; more need less memory.",
        OPTIMIZATION,
    ),
    number_option(
        "--base-lr",
        1.5e-4,
        "Peak learning rate for 256 clips per step; scaled with --batch-size.",
        OPTIMIZATION,
    ),
    number_option(
        "--warmup", 0.05, "Fraction of the steps with linear warm-up.", OPTIMIZATION
    ),
    number_option("--weight-decay", 0.05, "Weight decay of AdamW.", OPTIMIZATION),
    number_option(
        "--patch-lr-scale",
        1.0,
        "Learning rate of the patch embedding relative to the rest.",
        OPTIMIZATION,
    ),
    number_option(
        "--clip-grad", 0.7, "Maximum gradient norm; 0 disables clipping.", OPTIMIZATION
    ),
    click.option(
        "--seed",
        type=SeedNumber(),
        default=0,
        help="Seed of initial weights, masks, held-out speakers and batch order.",
        panel=OPTIMIZATION,
    ),
    number_option(
        "--val-speakers",
        0.1,
        "Fraction of the speakers that are held out to measure the loss.",
        EVALUATION,
    ),
    click.option(
        "--probe-store",
        type=LocalPath(),
        help="Labeled store of a linear probe on validation speakers.",
        panel=EVALUATION,
    ),
    click.option(
        "--probe-labels",
        default="",
        help="Label set of the probe.  [default: the first of its store]",
        panel=EVALUATION,
    ),
    number_option(
        "--probe-every",
        10,
        "Number of epochs between two probes, and two losses of audio from faces.",
        EVALUATION,
    ),
    out_option("Folder for the weights, metrics and checkpoints.", required=True),
    device_option("Device of the model."),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        help="Number of threads that read the stores.  "
        "[default: 0 on a CPU, up to 8 with a GPU]",
        panel=OUTPUT,
    ),
    click.option(
        "--save-every",
        type=click.FloatRange(min=0),
        default=5.0,
        metavar="MINUTES",
        help="Interval between checkpoints.",
        panel=OUTPUT,
    ),
    click.option(
        "--checkpoint-activations",
        is_flag=True,
        help="Recompute activations in the backward pass: less memory, more time.",
        panel=OUTPUT,
    ),
    tensorboard_option,
    config_option(
        "TOML file with options, or run.json of a pre-training whose settings are "
        "used. Options on the command line take precedence."
    ),
    verbose_option,
)


def pretrain_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option of a pre-training."""
    for option in reversed(PRETRAIN_OPTIONS):
        command = option(command)
    return command
