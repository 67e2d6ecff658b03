"""The way of a run's clips from the store to the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from mmder_train.data.device_copies import DeviceCopies, device_copies
from mmder_train.data.held_clips import HeldClips, hold_clips
from mmder_train.data.loader import BatchLoader
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays, RowReader


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFeed:
    """Threads, copies and held clips that all loaders of a run share."""

    readers: ReaderThreads
    copies: DeviceCopies | None
    """Copies to the device. None for a CPU."""
    held: HeldClips | None
    """Clips that are read once. None if none are held."""

    @staticmethod
    def create(
        reader: RowReader,
        *,
        device: torch.device,
        readers: ReaderThreads | None = None,
        rows: Int64[np.ndarray, " row"],
        names: Sequence[str],
    ) -> "ClipFeed":
        """Create a feed that holds the clips which are read repeatedly, if they fit.

        Args:
            reader: Reader of the clips.
            device: Device that the clips go to.
            readers: Threads that read. None reads in the current thread.
            rows: Rows of the clips that are read repeatedly.
            names: Names of the arrays that are read repeatedly, the most important
                first. Each is held if it fits in memory next to those before it.
        """
        copies = device_copies(device)
        return ClipFeed(
            readers=readers or ReaderThreads(),
            copies=copies,
            held=hold_clips(
                reader, rows=rows, names=names, device=device, copies=copies
            ),
        )

    def loader(self, clips: ClipArrays, sampler: BatchSampler) -> BatchLoader:
        """Return a loader of clips in the order of a sampler."""
        return BatchLoader(
            clips, sampler, readers=self.readers, copies=self.copies, held=self.held
        )
