"""Options that several commands of `mmder-train` share, and the panels of its help.

Nothing heavy is imported here. Choices are written out, and a test compares them with
the tables.
"""

from collections.abc import Callable
from typing import Any

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_cli.program import verbose_option as _verbose_option
from mmder_train.cli.option_types import FoldNumber, PartNames

ENCODERS = ("tiny", "tiny-56", "small", "base", "large", "huge", "giant", "mae-dfer")
IMAGE_NORMS = ("imagenet", "half", "none", "release")
RECIPES = ("paper", "release", "videomae", "videomae-ucf101", "scratch")
DEVICES = ("auto", "cpu", "cuda")

Decorator = Callable[[Any], Any]

DATA = "Data"
MODEL = "Model"
SPECTROGRAMS = "Spectrograms"
OPTIMIZATION = "Optimization"
REGULARIZATION = "Regularization"
EVALUATION = "Evaluation"
OUTPUT = "Output and machine"


def store_option(*, required: bool, text: str) -> Decorator:
    """Return the option ``--store``."""
    return click.option(
        "--store",
        required=required,
        type=LocalPath(),
        help=text,
        panel=DATA,
    )


def out_option(text: str, **more: Any) -> Decorator:  # noqa: ANN401
    """Return the option ``--out``."""
    return click.option("--out", type=LocalPath(), help=text, panel=OUTPUT, **more)


def device_option(text: str) -> Decorator:
    """Return the option ``--device``."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help=text,
        panel=OUTPUT,
    )


def fold_option(text: str) -> Decorator:
    """Return the option ``--fold``."""
    return click.option(
        "--fold",
        type=FoldNumber(),
        default="all",
        show_default=True,
        help=text,
        panel=DATA,
    )


verbose_option = _verbose_option(OUTPUT)
labels_option = click.option(
    "--labels", help="Label set.  [default: the store's first]", panel=DATA
)
protocol_option = click.option(
    "--protocol",
    help="Folds named in the store, or speakers-5.  [default: the store's first]",
    panel=DATA,
)
allow_missing_option = click.option(
    "--allow-missing",
    type=PartNames(),
    default=(),
    help="Parts of the encoder that may be missing from the weights; they are "
    "initialized at random.",
    panel=MODEL,
)
image_norm_option = click.option(
    "--image-norm",
    type=click.Choice(IMAGE_NORMS),
    help="Mean and standard deviation of images.  [default: from the weights]",
    panel=MODEL,
)
run_seed_option = click.option(
    "--seed",
    type=int,
    help="Seed whose models are used, of a run with several.  [default: the first]",
    panel=MODEL,
)
weights_option = click.option(
    "--weights",
    default="none",
    metavar="none|FILE|FOLDER|hf:OWNER/MODEL[/FILE]|timm:NAME[@FILE]",
    help="Initial weights of the encoder; none initializes at random.",
    panel=MODEL,
)
tensorboard_option = click.option(
    "--tensorboard", is_flag=True, help="Write scalars for TensorBoard.", panel=OUTPUT
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Number of threads that read the store.  "
    "[default: 0 on a CPU, up to 8 with a GPU]",
    panel=OUTPUT,
)


def number_option(name: str, default: float, text: str, panel: str) -> Decorator:
    """Return an option whose value is an integer or a float, as its default is."""
    kind = int if isinstance(default, int) else float
    return click.option(name, type=kind, default=default, help=text, panel=panel)


def choice_option(
    name: str, choices: tuple[str, ...], text: str, panel: str
) -> Decorator:
    """Return an option with some choices, the default first."""
    return click.option(
        name, type=click.Choice(choices), default=choices[0], help=text, panel=panel
    )


SPECTROGRAM_OPTIONS: tuple[Decorator, ...] = (
    choice_option(
        "--spectrogram",
        ("stft", "mfcc", "mel", "stft-mel-mfcc"),
        "Spectrogram that represents the audio; three are drawn as red, green, blue.",
        SPECTROGRAMS,
    ),
    choice_option(
        "--colormap", ("viridis", "gray"), "Colormap of spectrograms.", SPECTROGRAMS
    ),
    choice_option(
        "--spectrogram-norm",
        ("fixed", "window", "clip", "clip-mvn", "global-mvn"),
        "Normalization before the colormap: fixed range, range of each window or clip; "
        "or mean and variance of each row, in the clip or in speech.",
        SPECTROGRAMS,
    ),
)
"""Options of the spectrograms of an input."""
