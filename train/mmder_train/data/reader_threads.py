"""Threads that read the store, shared by all loaders of a run."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from mmder_train.runtime.cores import CGROUP, usable_cores

MAX_READERS = 8
"""Maximum number of threads that read for a GPU by default."""


class ReaderThreads(AbstractContextManager["ReaderThreads"]):
    """Threads that read clips while the model computes.

    Reading from a file and decompression do not hold Python's lock. The threads start
    with the first read, and end with the context.
    """

    def __init__(self, number: int = 0) -> None:
        """Set the number of threads. With 0, the caller reads."""
        self.number = number
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, read: Callable[[], None]) -> Future[None] | None:
        """Begin to read in a thread. Without threads, read now and return None."""
        if not self.number:
            read()
            return None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.number, "mmder-reader")
        return self._pool.submit(read)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop the reads that have not begun, and wait for the threads to end."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def default_readers(device: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return the default number of threads of this process that read.

    None on a CPU, which is busy. With a GPU, the cores that this process may use,
    divided among the processes that torchrun started on this machine.

    Args:
        device: Kind of device, ``cpu`` or ``cuda``.
        environment: Environment variables of this process.
    """
    if device != "cuda":
        return 0
    processes = environment.get("LOCAL_WORLD_SIZE", "1")
    local = max(1, int(processes)) if processes.isdigit() else 1
    return max(1, min(MAX_READERS, usable_cores(CGROUP) // local))
