"""Dataset over the clips of several stores."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmder_train.data.dataset import PRELOAD_BYTES, ClipDataset
from mmder_train.fusion.strategies import Strategy
from mmder_train.pretraining.clip_pool import ClipPool


class PooledDataset(Dataset[dict[str, Tensor]]):
    """Stored clips of a pool, as `ClipDataset` returns those of one store."""

    def __init__(self, pool: ClipPool, *, strategy: Strategy, spectrogram: str) -> None:
        """Initialize one dataset per store."""
        self._parts = [
            ClipDataset(store, clips=clips, strategy=strategy, spectrogram=spectrogram)
            for store, clips in zip(pool.stores, pool.selections, strict=True)
        ]
        self._ends = np.array(list(accumulate(map(len, self._parts))))

    def __len__(self) -> int:
        """Return the number of clips."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one clip."""
        return {k: v[0] for k, v in self.__getitems__([index]).items()}

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return a batch in the order of the positions."""
        positions = np.asarray(index)
        part_of = np.searchsorted(self._ends, positions, side="right")
        batch: dict[str, Tensor] = {}
        for number in np.unique(part_of).tolist():
            part, places = self._parts[number], np.flatnonzero(part_of == number)
            first = int(self._ends[number]) - len(part)
            read = part.__getitems__((positions[places] - first).tolist())
            for name, values in read.items():
                if name not in batch:
                    batch[name] = values.new_empty(len(positions), *values.shape[1:])
                batch[name][torch.from_numpy(places)] = values
        return batch | {"clip": torch.from_numpy(positions.astype(np.int64))}

    def preload(self) -> bool:
        """Read all clips into memory if they fit, and return whether they did."""
        first = next(part for part in self._parts if len(part))[0]
        if sum(t.nbytes for t in first.values()) * len(self) > PRELOAD_BYTES:
            return False
        for part in self._parts:
            if len(part):
                part.preload()
        return True
