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
