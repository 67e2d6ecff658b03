"""TODO."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from mmder_store.errors import MmderError


class TrainingInterruptedError(MmderError):
    """The user or the machine asked to stop, and what was learnt is saved."""

    signal: int = signal.SIGTERM


@dataclass(kw_only=True, slots=True)
class StopRequest:
    """Whether the run was asked to stop."""

    signal: int | None = None


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn SIGTERM and the first Ctrl-C into a question that the next step answers.

    A second Ctrl-C stops at once.
    """
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and asked.signal is not None:
            raise KeyboardInterrupt
        asked.signal = number

    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
