"""Dataset of stored clips, as the arrays that a strategy takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mmder_store import Store
from mmder_store.errors import StoreError
from mmder_train.data.selection import ClipSelection
from mmder_train.fusion.strategies import STORED_SPECTROGRAM, Strategy

PRELOAD_BYTES = 1 << 30
"""Maximum size of a data set that is held in memory if it is read repeatedly."""


def load_arrays(
    read: Callable[[str], NDArray[Any]], *, strategy: Strategy, spectrogram: str
) -> dict[str, Tensor]:
    """Load the arrays of clips that a strategy takes: ``frames``, ``audio``, or both.

    Args:
        read: Function that returns an array of the clips by its name in the store.
        strategy: Strategy with which the clips will be fused.
        spectrogram: Type of spectrogram that represents the audio.
    """
    arrays = {}
    if strategy.frames:
        # The 8-frame step is twice the 16-frame step: every second frame.
        frames = read("frames")[:, :: 16 // strategy.frames]
        arrays["frames"] = torch.from_numpy(np.ascontiguousarray(frames))
    name = spectrogram_array(strategy, spectrogram)
    if name:
        arrays["audio"] = torch.from_numpy(read(name))
    return arrays


def spectrogram_array(strategy: Strategy, spectrogram: str) -> str | None:
    """Return the name of the stored array with a strategy's audio.

    None if the strategy takes no audio.
    """
    if not strategy.windows:
        return None
    return f"{STORED_SPECTROGRAM[spectrogram]}_{strategy.windows}"


class ClipDataset(Dataset[dict[str, Tensor]]):
    """Stored clips as they are: integers and half floats, without any computation.

    Only the arrays that the strategy takes are read, one whole chunk each. A worker
    process receives the path of the store and opens the store itself.
    """

    def __init__(
        self,
        store: Store,
        *,
        clips: ClipSelection,
        strategy: Strategy,
        spectrogram: str,
    ) -> None:
        """Initialize the dataset with the clips and arrays to read."""
        self.store = store
        self.rows = clips.row
        self.clip_ids = clips.clip_id
        self.strategy = strategy
        self.spectrogram = spectrogram
        self._preloaded: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return ``clip`` (its index), and those of ``frames`` and ``audio`` in use."""
        return {k: v[0] for k, v in self.__getitems__([index]).items()}

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return a batch; each clip is read straight to its position in the batch.

        Raises:
            StoreError: If the audio of a clip is not finite.
        """
        if self._preloaded is not None:
            return {k: v[list(index)] for k, v in self._preloaded.items()}
        rows = self.rows[list(index)].tolist()
        arrays = load_arrays(
            lambda name: self.store.read_batch(name, rows),
            strategy=self.strategy,
            spectrogram=self.spectrogram,
        )
        self._check_audio(arrays, index)
        return {"clip": torch.tensor(index), **arrays}

    def _check_audio(self, arrays: dict[str, Tensor], index: Sequence[int]) -> None:
        """Raise if a spectrogram is not finite.

        Rendered on a CPU it would raise an error without a name, and on a GPU it would
        silently become the first color.
        """
        if "audio" not in arrays or arrays["audio"].isfinite().all():
            return
        finite = arrays["audio"].flatten(1).isfinite().all(1).tolist()
        bad = [self.clip_ids[i] for i, ok in zip(index, finite, strict=True) if not ok]
        msg = (
            f"{self.store.path}: the audio of {', '.join(map(str, bad))} is infinite "
            "or not a number. Check the store with mmder-prep verify, and prepare it "
            "again."
        )
        raise StoreError(msg)

    def preload(self) -> bool:
        """Read all clips into memory if they fit, and return whether they did."""
        if self._preloaded is None:
            first = self[0]
            if sum(t.nbytes for t in first.values()) * len(self) > PRELOAD_BYTES:
                return False
            loaded = {k: v.new_empty(len(self), *v.shape) for k, v in first.items()}
            for index in range(len(self)):
                for name, value in self[index].items():
                    loaded[name][index] = value
            self._preloaded = loaded
        return True
