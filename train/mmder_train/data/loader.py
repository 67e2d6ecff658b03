"""Loader of stored clips: threads read the next batches while one is used."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import torch
from torch import Tensor

from mmder_train.data.batch_memory import BatchMemory, ReadTask
from mmder_train.data.device_copies import DeviceCopies
from mmder_train.data.held_clips import HeldClips
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays, RowReader

BATCHES = 3
"""Number of batches in memory: one in use, and the next ones, which are being read."""
PART_CLIPS = 4
"""Minimum number of clips that a thread reads at once. The threads share a batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """A batch that is being read."""

    index: list[int]
    """Positions of its clips."""
    memory: BatchMemory
    futures: list[Future[None]]


class BatchLoader:
    """Batches of stored clips on the device, in the order of a sampler.

    A batch is a dictionary with ``clip`` (positions, on the CPU) and those of
    ``frames`` and ``audio`` in use. On a CPU, these two are valid until the next batch
    is requested, because their memory is used again.

    Batches do not depend on the number of threads, nor on what is held.
    """

    def __init__(
        self,
        clips: ClipArrays,
        sampler: BatchSampler,
        *,
        readers: ReaderThreads | None = None,
        copies: DeviceCopies | None = None,
        held: HeldClips | None = None,
    ) -> None:
        """Create a loader. Nothing is read yet.

        Args:
            clips: Clips to read.
            sampler: Order of the clips. It may be changed between two iterations.
            readers: Threads that read. None reads in the current thread.
            copies: Copies to the device. None for a CPU.
            held: Clips that are read once and then held on the device.
        """
        self.sampler = sampler
        self._clips = clips
        self._readers = ReaderThreads() if readers is None else readers
        self._ahead = BATCHES if self._readers.number else 1
        # Without threads, a batch may be read while the one before is still copied.
        batches = max(self._ahead, 1 if copies is None else 2)
        self._memory = [
            BatchMemory(clips=clips, copies=copies, held=held) for _ in range(batches)
        ]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batches. Only one iteration may run at a time.

        When it ends, also early or with an error, no thread reads for it any more.

        Raises:
            StoreError: If a clip of the next batch cannot be used.
        """
        batches, memories = iter(self.sampler), cycle(self._memory)
        begun: deque[_Reading] = deque()
        try:
            while True:
                # The memory of the batch that was yielded last is free again.
                for index in islice(batches, self._ahead - len(begun)):
                    begun.append(self._begin(index, next(memories)))
                if not begun:
                    return
                yield self._finish(begun.popleft())
        finally:
            _stop(begun)

    def _begin(self, index: Sequence[int], memory: BatchMemory) -> _Reading:
        """Begin to read the clips of a batch that are not held."""
        threads = self._readers.number
        reading = _Reading(index=list(index), memory=memory, futures=[])
        for task in memory.begin(self._clips.rows[reading.index]):
            clips = len(task.rows)
            size = max(PART_CLIPS, -(-clips // threads)) if threads else clips
            for part in task.split(size):
                read = partial(_read, self._clips.reader, part, memory)
                future = self._readers.submit(read)
                if future is not None:
                    reading.futures.append(future)
        return reading

    def _finish(self, reading: _Reading) -> dict[str, Tensor]:
        """Wait until a batch is read, and return it on the device."""
        try:
            for future in reading.futures:
                future.result()
        except BaseException:
            _stop([reading])
            raise
        return {"clip": torch.tensor(reading.index), **reading.memory.finish()}


def _read(reader: RowReader, task: ReadTask, memory: BatchMemory) -> None:
    memory.wait()
    reader.read_rows(task.name, task.rows, task.target)


def _stop(readings: Sequence[_Reading]) -> None:
    """Drop the reads that have not begun, and wait for the others."""
    for future in [future for reading in readings for future in reading.futures]:
        if not future.cancel():
            future.exception()
