"""What may be asked of a run that makes a store, as options of the command line."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mmder_store.errors import SettingsError

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

BUILD_OPTIONS = (
    click.option(
        "--no-face-crop",
        is_flag=True,
        help="Take the centre square of the picture; look for no face.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=os.cpu_count() or 1,
        show_default="one a core",
        help="Processes, of one thread each.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Join a running Dask cluster instead of starting workers here.",
    ),
    click.option(
        "--device",
        default="cpu",
        show_default=True,
        help="Where faces are detected: cpu, cuda, cuda:1.",
    ),
    click.option(
        "--shard-clips",
        type=click.IntRange(1, 4096),
        default=16,
        show_default=True,
        help="Clips in one shard, which is one job and one file an array.",
    ),
    click.option(
        "--max-failed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Clips that may lack picture or sound before the exit code is 3. The "
        "store is sealed either way.",
    ),
    click.option("--overwrite", is_flag=True, help="Remove the store at --out first."),
)


def out_option(*, required: bool) -> Decorator:
    """Make the option that names the store to write."""
    return click.option(
        "--out",
        required=required,
        type=click.Path(path_type=Path),
        help="Folder of the store to make, or to go on with.",
    )


def step_option(default: str) -> Decorator:
    """Make the option that says how far apart frames are."""
    return click.option(
        "--step",
        default=default,
        show_default=True,
        metavar="FRAMES|auto",
        help="Step of the 16 frames, in frames at 30 per second; the step of the 8 "
        "frames is twice that. 'auto' spreads the frames over each clip.",
    )


def with_options(options: Sequence[Decorator]) -> Callable[[Command], Command]:
    """Give a command a list of options, in the order they are listed."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def step_frames(text: str) -> float | None:
    """Read ``--step``: frames at 30 per second, None where they are spread.

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
