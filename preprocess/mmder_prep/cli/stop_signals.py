"""End of a command on SIGTERM and SIGUSR1, as batch systems send them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mmder_cli.program import print_error
from mmder_prep.pipeline import temp_folder

NAMES = ("SIGTERM", "SIGUSR1")
"""Signals before a time limit. Windows has no SIGUSR1."""


@contextmanager
def end_on_signals() -> Iterator[None]:
    """End the process with one line on SIGTERM and SIGUSR1.

    The exit code is 128 plus the number of the signal. Workers end with the process,
    and each loses at most the shard that it prepares.
    """
    signals = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    previous = {number: signal.signal(number, _end) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    print_error(
        f"mmder-prep: stopped by {signal.Signals(number).name}; finished shards are "
        "kept, rerun the command to resume"
    )
    temp_folder.remove()
    sys.stderr.flush()
    os._exit(128 + number)
