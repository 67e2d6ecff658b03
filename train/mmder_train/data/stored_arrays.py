"""Stored arrays of clips, read by row, and those of them that a strategy takes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from mmder_store import Store
from mmder_store.errors import StoreError
from mmder_train.fusion.strategies import STORED_SPECTROGRAM, Strategy

EXPONENT = 0x7C00
"""Bits of a 16-bit float that are all set if it is infinite or not a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSpec:
    """Shape and type of one clip of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of one clip, in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def torch_dtype(self) -> torch.dtype:
        """Type of the array as a tensor."""
        return torch.from_numpy(np.empty(0, self.dtype)).dtype

    def empty(self, clips: int) -> Tensor:
        """Return new memory for some clips on the CPU."""
        return torch.empty(clips, *self.shape, dtype=self.torch_dtype)


@runtime_checkable
class RowReader(Protocol):
    """Arrays of clips that several threads can read at once."""

    def row_spec(self, name: str) -> RowSpec:
        """Return the shape and type of one clip of an array."""
        ...

    def read_rows(self, name: str, rows: Sequence[int], out: NDArray[Any]) -> None:
        """Read clips of an array into the rows of `out`, which is contiguous.

        Raises:
            StoreError: If a clip cannot be used.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreRows:
    """Arrays of one store. A row is a row of the store."""

    store: Store

    def row_spec(self, name: str) -> RowSpec:
        """Return the shape and type of one clip of an array."""
        return RowSpec(
            shape=self.store.row_shape(name), dtype=self.store.row_dtype(name)
        )

    def read_rows(self, name: str, rows: Sequence[int], out: NDArray[Any]) -> None:
        """Read clips of an array into the rows of `out`, which is contiguous.

        Raises:
            StoreError: If a clip is damaged, or its audio is not finite.
        """
        self.store.read_batch(name, rows, out)
        if out.dtype == np.float16:
            self._check_finite(rows, out)

    def _check_finite(self, rows: Sequence[int], audio: NDArray[np.float16]) -> None:
        """Raise if a spectrogram is not finite.

        Rendered on a CPU it would raise an error without a name, and on a GPU it would
        silently become the first color.
        """
        exponent = audio.view(np.uint16).reshape(len(audio), -1) & EXPONENT
        highest = exponent.max(axis=1, initial=0)
        if (highest < EXPONENT).all():
            return
        bad = [
            self.store.clip_ids[row]
            for row, bits in zip(rows, highest, strict=True)
            if bits == EXPONENT
        ]
        msg = (
            f"{self.store.path}: the audio of {', '.join(bad)} is infinite or not a "
            "number. Check the store with mmder-prep verify, and prepare it again."
        )
        raise StoreError(msg)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipArrays:
    """Clips, and the arrays of them that a strategy takes."""

    reader: RowReader
    rows: Int64[np.ndarray, " clip"]
    """Row of each clip in the reader."""
    strategy: Strategy
    spectrogram: str
    """Type of spectrogram that represents the audio."""

    @property
    def arrays(self) -> dict[str, str]:
        """Name of the stored array of each input in use: ``frames``, ``audio``."""
        audio = spectrogram_array(self.strategy, self.spectrogram)
        frames = "frames" if self.strategy.frames else None
        names = {"frames": frames, "audio": audio}
        return {key: name for key, name in names.items() if name}

    def view(self, key: str, stored: Tensor) -> Tensor:
        """Return the part of a stored array that the strategy takes.

        Args:
            key: ``frames`` or ``audio``.
            stored: The array, with any number of clips.
        """
        if key == "frames":
            # The 8-frame step is twice the 16-frame step: every second frame.
            return stored[:, :: 16 // self.strategy.frames]
        return stored

    def read(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Read some clips: ``clip`` (`index`), ``frames`` and ``audio`` in use.

        Raises:
            StoreError: If a clip cannot be used.
        """
        rows = self.rows[list(index)].tolist()
        batch = {"clip": torch.tensor(index)}
        for key, name in self.arrays.items():
            stored = self.reader.row_spec(name).empty(len(rows))
            self.reader.read_rows(name, rows, stored.numpy())
            batch[key] = self.view(key, stored).contiguous()
        return batch


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
