"""A write in a thread: one at a time, and its error reaches the caller once."""

import threading
import time

import pytest

from mmder_train.runtime.background_writer import BackgroundWriter


def fail() -> None:
    raise OSError(28, "No space left on device", "file")


def test_a_write_runs_while_the_caller_continues() -> None:
    started, release, written = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        started.set()
        assert release.wait(10)
        written.set()

    writer = BackgroundWriter()
    writer.start(write)
    assert started.wait(10)
    writer.check()  # does not wait
    assert not written.is_set()
    release.set()
    writer.wait()
    assert written.is_set()


def test_an_error_is_raised_once_by_a_later_call() -> None:
    writer = BackgroundWriter()
    writer.check()
    writer.start(fail)
    writer.join()
    with pytest.raises(OSError, match="No space left on device"):
        writer.wait()
    writer.wait()
    writer.start(lambda: None)
    writer.wait()


def test_check_raises_the_error_of_a_write_that_has_ended() -> None:
    writer = BackgroundWriter()
    ended = threading.Event()

    def fail_late() -> None:
        ended.set()
        fail()

    writer.start(fail_late)
    assert ended.wait(10)
    time.sleep(0.1)  # until the thread has ended as well
    with pytest.raises(OSError, match="No space"):
        writer.check()
