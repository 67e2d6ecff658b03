"""Signals that ask a run to stop after the current step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from mmder_store.errors import MmderError


class TrainingInterruptedError(MmderError):
    """The run was asked to stop, and its training state is saved."""

    signal: int = signal.SIGTERM


@dataclass(kw_only=True, slots=True)
class StopRequest:
    """Signal that asked the run to stop, if there was one."""

    signal: int | None = None


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Record SIGTERM or the first Ctrl-C, so that training stops after its step.

    A second Ctrl-C stops at once. Outside of the main thread no signal is recorded.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def record(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and request.signal is not None:
            raise KeyboardInterrupt
        request.signal = number

    handlers = {s: signal.signal(s, record) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
