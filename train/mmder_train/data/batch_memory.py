"""Memory that a batch is read to, and its way from there to the device."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from mmder_train.data.device_copies import Copied, DeviceCopies
from mmder_train.data.held_clips import HeldClips
from mmder_train.data.stored_arrays import ClipArrays

Rows = Int64[np.ndarray, " clip"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadTask:
    """Clips of an array, and the contiguous memory that they are read to."""

    name: str
    rows: list[int]
    target: NDArray[Any]

    def split(self, size: int) -> Iterator["ReadTask"]:
        """Yield tasks of at most `size` clips."""
        for start in range(0, len(self.rows), size):
            part = slice(start, start + size)
            yield ReadTask(
                name=self.name, rows=self.rows[part], target=self.target[part]
            )


@dataclass(kw_only=True, slots=True)
class BatchMemory:
    """Host memory of one batch, used again for later batches.

    It is allocated when it is first used. Clips that are held on the host are read
    straight to their slots and need none.
    """

    clips: ClipArrays
    copies: DeviceCopies | None
    """Copies to the device. None for a CPU."""
    held: HeldClips | None
    _rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Row of each clip of the batch."""
    _missing: dict[str, Rows] = field(default_factory=dict)
    """Rows that are read, by array."""
    _memory: dict[str, Tensor] = field(default_factory=dict)
    _copied: Copied | None = None
    """End of the latest copies from this memory."""

    def begin(self, rows: Rows) -> list[ReadTask]:
        """Begin a batch, and return what is to be read."""
        self._rows, self._missing = rows, {}
        tasks = []
        for name in self.clips.arrays.values():
            held = self._held_array(name)
            missing = rows if held is None else held.missing(name, rows)
            if len(missing):
                self._missing[name] = missing
                tasks += self._tasks(name, missing, held)
        return tasks

    def _tasks(self, name: str, rows: Rows, held: HeldClips | None) -> list[ReadTask]:
        if held is None or self.copies is not None:
            pieces = [(slice(0, len(rows)), self._host_memory(name))]
        else:
            slots = held.slots(rows)
            pieces = [(run, held.array(name)[slots[run][0] :]) for run in _runs(slots)]
        return [
            ReadTask(
                name=name,
                rows=rows[run].tolist(),
                target=memory[: run.stop - run.start].numpy(),
            )
            for run, memory in pieces
        ]

    def wait(self) -> None:
        """Wait for the copies of the previous batch, which use the same memory."""
        if self._copied is not None:
            self._copied.synchronize()

    def finish(self) -> dict[str, Tensor]:
        """Return the batch on the device, after all tasks are done."""
        streamed = self._copy_to_device()
        for name, rows in self._missing.items():
            held = self._held_array(name)
            if held is not None:
                held.mark_held(name, rows)
        batch = {}
        for key, name in self.clips.arrays.items():
            held = self._held_array(name)
            if held is None:
                batch[key] = self.clips.view(key, streamed[name])
            else:
                array = self.clips.view(key, held.array(name))
                slots = torch.from_numpy(held.slots(self._rows))
                slots = slots.to(array.device, non_blocking=True)
                batch[key] = array.index_select(0, slots)
        return batch

    def _copy_to_device(self) -> dict[str, Tensor]:
        """Begin to copy what was read, and return the arrays that are not held."""
        streamed, pairs = {}, []
        for name, rows in self._missing.items():
            held = self._held_array(name)
            if held is not None and self.copies is None:
                continue
            memory = self._memory[name][: len(rows)]
            if held is not None:
                slots = held.slots(rows)
                for run in _runs(slots):
                    target = held.array(name)[slots[run][0] : slots[run][-1] + 1]
                    pairs.append((target, memory[run]))
            elif self.copies is None:
                streamed[name] = memory
            else:
                spec = self.clips.reader.row_spec(name)
                streamed[name] = self.copies.device_memory(spec, len(rows))
                pairs.append((streamed[name], memory))
        if self.copies is not None and pairs:
            self._copied = self.copies.copy(pairs)
        return streamed

    def _held_array(self, name: str) -> HeldClips | None:
        if self.held is None or name not in self.held.names:
            return None
        return self.held

    def _host_memory(self, name: str) -> Tensor:
        """Return memory for all clips of the batch."""
        clips = len(self._rows)
        if name not in self._memory or len(self._memory[name]) < clips:
            spec = self.clips.reader.row_spec(name)
            self._memory[name] = (
                spec.empty(clips)
                if self.copies is None
                else self.copies.host_memory(spec, clips)
            )
        return self._memory[name]


def _runs(slots: Int64[np.ndarray, " clip"]) -> list[slice]:
    """Return the ranges of consecutive slots."""
    breaks = np.flatnonzero(np.diff(slots) != 1) + 1
    bounds = [0, *breaks.tolist(), len(slots)]
    return [slice(a, b) for a, b in pairwise(bounds)]
