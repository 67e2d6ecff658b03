"""Which clips of a store serve a strategy, and batches of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mmder_store import Store
from mmder_train.data.selection import ClipSelection
from mmder_train.fusion.strategies import STORED_SPECTROGRAM, Strategy

PRELOAD_BYTES = 1 << 30
"""Clips that take less than this are held in memory where they are read often."""


def load_arrays(
    read: Callable[[str], NDArray[Any]], *, strategy: Strategy, audio: str
) -> dict[str, Tensor]:
    """Give what a strategy takes of clips: ``frames``, ``sound``, or both.

    Args:
        read: Gives an array of the clips by its name in the store.
        strategy: How the clips will be fused.
        audio: Which spectrogram stands for the sound.
    """
    found = {}
    if strategy.frames:
        # The 8-frame step is twice the 16-frame step: every second picture.
        frames = read("frames")[:, :: 16 // strategy.frames]
        found["frames"] = torch.from_numpy(np.ascontiguousarray(frames))
    sound = spectrogram_array(strategy, audio)
    if sound:
        found["sound"] = torch.from_numpy(read(sound))
    return found


def spectrogram_array(strategy: Strategy, audio: str) -> str | None:
    """Name the array of a store that a strategy's sound is painted from."""
    return (
        f"{STORED_SPECTROGRAM[audio]}_{strategy.windows}" if strategy.windows else None
    )


class ClipDataset(Dataset[dict[str, Tensor]]):
    """Stored clips as they are: integers and half floats, nothing computed.

    Only the arrays that the strategy takes are read, one whole chunk each. A worker
    process gets the store's path and opens it itself.
    """

    def __init__(
        self, store: Store, *, clips: ClipSelection, strategy: Strategy, audio: str
    ) -> None:
        """Say which clips and which arrays."""
        self.store = store
        self.rows = clips.row
        self.strategy = strategy
        self.audio = audio
        self._held: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Give ``clip`` (the position), and ``frames`` and ``sound`` where taken."""
        return {k: v[0] for k, v in self.__getitems__([index]).items()}

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Give a batch at once: clips are read to where they lie in it."""
        if self._held is not None:
            return {k: v[list(index)] for k, v in self._held.items()}
        rows = self.rows[list(index)].tolist()
        found = load_arrays(
            lambda name: self.store.read_batch(name, rows),
            strategy=self.strategy,
            audio=self.audio,
        )
        return {"clip": torch.tensor(index), **found}

    def preload(self) -> bool:
        """Read all clips into memory if they are few enough; tell if they were."""
        if self._held is None:
            first = self[0]
            if sum(t.nbytes for t in first.values()) * len(self) > PRELOAD_BYTES:
                return False
            held = {k: v.new_empty(len(self), *v.shape) for k, v in first.items()}
            for index in range(len(self)):
                for name, value in self[index].items():
                    held[name][index] = value
            self._held = held
        return True
