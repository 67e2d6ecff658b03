"""Threads read, end with their context, and are as many as there are cores."""

import threading
from pathlib import Path

import pytest

from mmder_train.data import reader_threads
from mmder_train.data.reader_threads import ReaderThreads, default_readers


def running() -> list[str]:
    names = [t.name for t in threading.enumerate()]
    return [name for name in names if name.startswith("mmder-reader")]


def test_threads_start_with_the_first_read_and_end_with_the_context() -> None:
    both = threading.Barrier(3, timeout=20)

    def read() -> None:
        both.wait()

    with ReaderThreads(2) as readers:
        assert not running()
        reads = [readers.submit(read) for _ in range(2)]
        # Passes only if two threads wait at the same time.
        both.wait()
        assert len(running()) == 2
    assert not running()
    assert all(read is not None and read.done() for read in reads)


def test_reads_that_have_not_begun_are_dropped_at_the_end() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        go_on.wait(20)
        done.append("slow")

    readers = ReaderThreads(1)
    with readers:
        first = readers.submit(slow)
        second = readers.submit(lambda: done.append("never"))
        begun.wait(20)
        threading.Timer(0.1, go_on.set).start()
    assert first is not None
    assert first.done()
    assert second is not None
    assert second.cancelled()
    assert done == ["slow"]
    assert not running()


def test_without_threads_the_caller_reads() -> None:
    readers, who = ReaderThreads(0), []
    assert readers.submit(lambda: who.append(threading.current_thread())) is None
    assert who == [threading.current_thread()]


def test_the_default_is_this_process_s_part_of_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_threads, "CGROUP", tmp_path)
    monkeypatch.setattr(reader_threads, "usable_cores", lambda _: 6)
    assert default_readers("cpu", {}) == 0
    assert default_readers("cuda", {}) == 6
    assert default_readers("cuda", {"LOCAL_WORLD_SIZE": "2"}) == 3
    assert default_readers("cuda", {"LOCAL_WORLD_SIZE": "8"}) == 1
    monkeypatch.setattr(reader_threads, "usable_cores", lambda _: 64)
    assert default_readers("cuda", {}) == 8
    assert default_readers("cuda", {"LOCAL_WORLD_SIZE": "8"}) == 8
