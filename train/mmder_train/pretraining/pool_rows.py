"""Stored arrays of the clips of several stores, numbered together."""

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmder_train.data.stored_arrays import RowSpec, StoreRows
from mmder_train.pretraining.clip_pool import ClipPool


class PoolRows:
    """Arrays of a pool. A row is the number of a clip in the pool."""

    def __init__(self, pool: ClipPool) -> None:
        """Create a reader of the clips of all stores."""
        self._stores = [StoreRows(store=store) for store in pool.stores]
        self._rows = np.concatenate([clips.row for clips in pool.selections])
        ends = np.array(list(accumulate(len(c.row) for c in pool.selections)))
        clips = np.arange(len(self._rows))
        self._store_of = np.searchsorted(ends, clips, side="right")

    def row_spec(self, name: str) -> RowSpec:
        """Return the shape and type of one clip, the same in all stores."""
        return self._stores[0].row_spec(name)

    def read_rows(self, name: str, rows: Sequence[int], out: NDArray[Any]) -> None:
        """Read clips of an array into the rows of `out`, which is contiguous.

        Raises:
            StoreError: If a clip is damaged, or its audio is not finite.
        """
        first = 0
        # Clips of one store that follow each other are read together.
        for number, group in groupby(rows, key=lambda row: int(self._store_of[row])):
            own = self._rows[list(group)].tolist()
            end = first + len(own)
            self._stores[number].read_rows(name, own, out[first:end])
            first = end
