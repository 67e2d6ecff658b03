"""Clips that stay on the device after they are read, for all folds and strategies."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.data.device_copies import DeviceCopies
from mmder_train.data.stored_arrays import RowReader

HELD_BYTES = 1 << 30
"""Maximum size of the clips that are held in the memory of the host."""
HELD_FRACTION = 0.25
"""Maximum fraction of the free memory of a GPU that held clips take."""


def memory_for_clips(device: torch.device) -> int:
    """Return the number of bytes that held clips may take on a device."""
    if device.type == "cuda":
        return int(HELD_FRACTION * torch.cuda.mem_get_info(device)[0])
    return HELD_BYTES


class HeldClips:
    """Arrays of clips in their stored form, filled as the clips are read.

    Each clip has a fixed slot. Memory is allocated when the first clip is read.
    """

    def __init__(
        self,
        reader: RowReader,
        *,
        rows: Int64[np.ndarray, " row"],
        names: Collection[str],
        copies: DeviceCopies | None = None,
    ) -> None:
        """Select the clips and arrays to hold.

        Args:
            reader: Reader of the clips.
            rows: Rows of the clips, in any order and also repeatedly.
            names: Names of the arrays.
            copies: Copies to the device. None holds the clips on the host.
        """
        self.rows = np.unique(rows)
        self.names = frozenset(names)
        self._specs = {name: reader.row_spec(name) for name in self.names}
        self._copies = copies
        self._arrays: dict[str, Tensor] = {}
        self._held = {name: np.zeros(len(self.rows), np.bool_) for name in self.names}

    def slots(self, rows: Int64[np.ndarray, " clip"]) -> Int64[np.ndarray, " clip"]:
        """Return the slot of each clip."""
        return np.searchsorted(self.rows, rows)

    def missing(
        self, name: str, rows: Int64[np.ndarray, " clip"]
    ) -> Int64[np.ndarray, " missing"]:
        """Return the rows of the clips of which an array is not held yet."""
        missing: Int64[np.ndarray, " missing"] = rows[
            ~self._held[name][self.slots(rows)]
        ]
        return missing

    def array(self, name: str) -> Tensor:
        """Return an array with all slots. Those of missing clips are undefined."""
        if name not in self._arrays:
            spec, clips = self._specs[name], len(self.rows)
            # An evaluation may allocate what a training step fills later. Tensors of
            # the inference mode cannot be written outside of it.
            with torch.inference_mode(mode=False):
                self._arrays[name] = (
                    spec.empty(clips)
                    if self._copies is None
                    else self._copies.device_memory(spec, clips)
                )
        return self._arrays[name]

    def mark_held(self, name: str, rows: Int64[np.ndarray, " clip"]) -> None:
        """Record that the slots of some clips are filled."""
        self._held[name][self.slots(rows)] = True


def hold_clips(
    reader: RowReader,
    *,
    rows: Int64[np.ndarray, " row"],
    names: Sequence[str],
    device: torch.device,
    copies: DeviceCopies | None = None,
) -> HeldClips | None:
    """Return an empty `HeldClips` of the arrays that fit in memory, or None.

    Args:
        reader: Reader of the clips.
        rows: Rows of the clips.
        names: Names of the arrays to hold, the most important first.
        device: Device that holds the clips.
        copies: Copies to that device. None for a CPU.
    """
    rows = np.unique(rows)
    left, fitting = memory_for_clips(device), []
    for name in names:
        size = len(rows) * reader.row_spec(name).nbytes
        if size <= left:
            fitting.append(name)
            left -= size
    if not fitting:
        return None
    return HeldClips(reader, rows=rows, names=fitting, copies=copies)
