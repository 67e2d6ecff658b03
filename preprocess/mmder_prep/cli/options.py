"""Options of the commands that make a store."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_cli.program import verbose_option as _verbose_option
from mmder_store.errors import SettingsError

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

CORPORA = "Corpora"
STORES = "Look at a store"
STEPS = "Prepare in separate steps, on a cluster"
OTHER = "Other"
"""Panels of commands."""
INPUT = "Input"
PREPARATION = "Preparation"
OUTPUT = "Output and machine"
"""Panels of options."""

workers_option = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=os.cpu_count() or 1,
    show_default="one per core",
    help="Number of worker processes, with one thread each.",
    panel=OUTPUT,
)
verbose_option = _verbose_option(OUTPUT)

max_failed_option = click.option(
    "--max-failed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Number of clips that may lack video or audio before the exit code is 3. The "
    "store is sealed either way.",
    panel=OUTPUT,
)

_SHARD_OPTIONS = (
    click.option(
        "--no-face-crop",
        is_flag=True,
        help="Crop the center square of each frame, without face detection.",
        panel=PREPARATION,
    ),
    click.option(
        "--shard-clips",
        type=click.IntRange(1, 4096),
        default=16,
        show_default=True,
        help="Number of clips per shard. A shard is one job, and one file per array.",
        panel=PREPARATION,
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        help="Remove the store at --out first.",
        panel=OUTPUT,
    ),
)
_device_option = click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="cpu",
    show_default=True,
    help="Device of face detection; decoding always runs on the CPU.",
    panel=OUTPUT,
)

BUILD_OPTIONS = (
    *_SHARD_OPTIONS,
    max_failed_option,
    workers_option,
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Join a running Dask cluster instead of starting workers.",
        panel=OUTPUT,
    ),
    _device_option,
    verbose_option,
)
"""Options of the commands that build a store."""
PLAN_OPTIONS = (*_SHARD_OPTIONS, _device_option, verbose_option)
"""Options of the commands that only plan one."""


def out_option(text: str, *, required: bool = False) -> Decorator:
    """Return the option ``--out``."""
    return click.option(
        "--out",
        required=required,
        type=LocalPath(),
        help=text,
        panel=OUTPUT,
    )


def step_option(default: str) -> Decorator:
    """Return the option ``--step``."""
    return click.option(
        "--step",
        default=default,
        show_default=True,
        metavar="FRAMES|auto",
        help="Step between the 16 frames, in frames at 30 per second; the 8 frames "
        "have twice that step. 'auto' spreads the frames over each clip.",
        panel=PREPARATION,
    )


def modality_option(text: str) -> Decorator:
    """Return the option ``--modality``."""
    return click.option(
        "--modality",
        type=click.Choice(["av", "audio"]),
        default="av",
        show_default=True,
        help=text,
        panel=INPUT,
    )


def with_options(options: Sequence[Decorator]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in the order in which they are listed."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def step_frames(text: str) -> float | None:
    """Parse ``--step``: frames at 30 per second, or None for 'auto'.

    Raises:
        SettingsError: If it is neither a number nor 'auto'.
    """
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        msg = (
            f"--step {text!r}: expected a number of frames at 30 per second, or 'auto'"
        )
        raise SettingsError(msg) from error
