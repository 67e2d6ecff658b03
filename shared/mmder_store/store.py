"""Read a sealed store as NumPy arrays, clip by clip or in batches."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmder_store import ledger
from mmder_store.checksums import crc32c
from mmder_store.errors import StoreError, StoreIncompleteError
from mmder_store.local_path import check_local
from mmder_store.schema import CHECKSUMS, COLUMNS, arrays_of
from mmder_store.seal import (
    WAY_OUT,
    Seal,
    check_columns,
    check_metadata,
    read_seal,
)
from mmder_store.settings import digest
from mmder_store.shard_reader import Reader, create_reader
from mmder_store.zarr_group import (
    get_array,
    open_group,
    read_column,
    read_spec,
    shard_file,
)

READ_ERRORS = (OSError, ValueError, RuntimeError, MemoryError)
"""Errors of damaged or missing files."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredClip:
    """One clip of a store, in memory."""

    index: int
    """Row of the clip in the arrays and columns of the store."""
    clip_id: str
    """Identifier of the clip, unique in the store."""
    speaker: str
    """Identifier of the speaker."""
    emotion: str
    """Emotion named by the corpus; empty if it names none."""
    status: str
    """`ok`, `no_face`, `no_audio`, `no_video` or `failed`."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays by name, without the clip dimension: `frames` is a uint8 array of shape
    (16, 224, 224, 3). `mmder_store.schema` has the shape and unit of each array."""


class Store:
    """A sealed store, open for reading.

    A store has arrays (`frames`, `stft_16`, ...) and columns (`clip_id`, `emotion`,
    ...), both with one row per clip. Arrays are read from disk on request. Columns are
    small and are read when the store is opened, which checks them against the seal.
    Every clip that is read is compared with its checksum. A store is pickled as its
    path, so each worker process opens its own.

    Examples:
        >>> store = open_store("stores/ravdess")  # doctest: +SKIP
        >>> store.read("frames", 0).shape  # doctest: +SKIP
        (16, 224, 224, 3)
    """

    def __init__(self, path: str | os.PathLike[str], *, sha256: str = "") -> None:
        """Open a store, and check its columns and metadata against its seal.

        Args:
            path: Folder of the store.
            sha256: Hash that the store must have; empty for any.

        Raises:
            SettingsError: If the path is an address such as ``s3://bucket/store``.
            StoreError: If the folder is not a store, or it differs from its seal.
            StoreVersionError: If the store has another format version.
            StoreIncompleteError: If the store is not sealed.
        """
        check_local(path, "store")
        self.path = Path(path)
        self._group = open_group(self.path, "r")
        seal = read_seal(self.path, self._group.attrs.asdict())
        self.spec = read_spec(self.path, self._group)
        if seal is None:
            raise StoreIncompleteError(self._incomplete_message())
        if sha256 and seal.sha256 != sha256:
            msg = (
                f"store {self.path}: was prepared again while it was read. Run the "
                "command again."
            )
            raise StoreError(msg)
        self.seal: Seal = seal
        self.sha256 = seal.sha256
        self.versions: Mapping[str, str] = seal.versions
        self._readers: dict[str, Reader] = {}
        check_metadata(self.path, seal, self.spec.settings)
        columns = {
            column.name: read_column(self.path, self._group, column)
            for column in (*COLUMNS, CHECKSUMS)
        }
        check_columns(self.path, seal, columns)
        self.columns: dict[str, NDArray[Any]] = {
            c.name: columns[c.name] for c in COLUMNS
        }
        """Columns by name, each with one value per clip.

        Texts are object arrays of str. An unknown number is NaN or -1.
        """
        self.checksums: NDArray[np.uint32] = columns[CHECKSUMS.name]
        """CRC-32C of each clip in each array, in the order of `arrays`."""

    def _incomplete_message(self) -> str:
        shards = range(self.spec.shards)
        missing = [s for s in shards if ledger.read(self.path, s) is None]
        if missing:
            return ledger.missing_message(self.path, missing, self.spec.shards)
        return f"store {self.path}: not sealed. Rerun the same mmder-prep command."

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        """Pickle as the path and the hash."""
        return _reopen, (self.path, self.sha256)

    def __len__(self) -> int:
        """Return the number of clips."""
        return self.spec.clips

    def __contains__(self, name: str) -> bool:
        """Return whether the store has an array or column of this name."""
        return name in self._group

    def __iter__(self) -> Iterator[StoredClip]:
        """Yield every clip with all of its arrays; see `clips`."""
        return self.clips()

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays. An audio-only store has no `frames`, for example."""
        return tuple(a.name for a in arrays_of(self.spec.settings))

    @cached_property
    def clip_ids(self) -> tuple[str, ...]:
        """Identifiers of the clips, in their order."""
        return tuple(str(clip_id) for clip_id in self.columns["clip_id"])

    def clips(self, names: Sequence[str] | None = None) -> Iterator[StoredClip]:
        """Yield the clips in their order; each is read when it is reached.

        Clips with a status other than `ok` are included; the arrays that they lack hold
        zeros, or NaN for times.

        Args:
            names: Names of the arrays to read; None reads all of `arrays`.

        Raises:
            StoreError: If the store has no such array, or a chunk is damaged.
        """
        names = self.arrays if names is None else names
        speakers, emotions, statuses = (
            self.columns[column] for column in ("speaker", "emotion", "status")
        )
        for index, clip_id in enumerate(self.clip_ids):
            yield StoredClip(
                index=index,
                clip_id=clip_id,
                speaker=str(speakers[index]),
                emotion=str(emotions[index]),
                status=str(statuses[index]),
                arrays={name: self.read(name, index) for name in names},
            )

    def read(self, name: str, index: int) -> NDArray[Any]:
        """Read one clip of one array.

        Args:
            name: Name of the array, one of `arrays`.
            index: Index of the clip, from 0 to ``len(store) - 1``.

        Returns:
            A new array without the clip dimension, such as uint8 (16, 224, 224, 3) for
            `frames` and float16 (16, 257, 41) in dB for `stft_16`.

        Raises:
            StoreError: If the store has no such array, or the chunk is damaged.
            IndexError: If there is no such clip.
        """
        clip: NDArray[Any] = self.read_batch(name, [index])[0]
        return clip

    def read_batch(
        self, name: str, rows: Sequence[int], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Read clips of one array, in any order. Each shard is opened once.

        Args:
            name: Name of the array.
            rows: Indices of the clips.
            out: Contiguous array to read into; None allocates one.

        Returns:
            Array of shape (len(rows), ...): `out` if it was passed.

        Raises:
            StoreError: If the store has no such array, or a clip is damaged: its chunk
                cannot be read, or its bytes differ from its checksum.
            IndexError: If there is no such clip.
        """
        reader = self._reader(name)
        if out is None:
            out = np.empty((len(rows), *reader.row_shape), reader.dtype)
        read, expected = out, self.checksums[:, self.arrays.index(name)]

        def check(position: int) -> None:
            if crc32c(read[position]) != expected[rows[position]]:
                text = "its bytes differ from its checksum"
                raise self._damaged(name, rows[position], text)

        try:
            reader.read(rows, read, check)
        except READ_ERRORS as error:
            raise self._read_error(name, rows, error) from error
        return out

    def _read_error(
        self, name: str, rows: Sequence[int], error: Exception
    ) -> StoreError:
        """Return the error of the first clip that cannot be read."""
        reader = self._reader(name)
        out = np.empty((1, *reader.row_shape), reader.dtype)
        for row in rows:
            try:
                reader.read([row], out)
            except READ_ERRORS as own_error:
                return self._damaged(name, row, str(own_error))
        indices = ", ".join(map(str, rows))
        return StoreError(f"store {self.path}: {name}[{indices}]: {error}. {WAY_OUT}")

    def _damaged(self, name: str, row: int, problem: str) -> StoreError:
        """Return the error of a damaged clip, or of a file that is missing."""
        (array,) = (a for a in arrays_of(self.spec.settings) if a.name == name)
        row %= len(self)
        file = shard_file(self.path, array, row // self.spec.shard_clips)
        if not file.exists():
            problem = f"its file {file} is missing"
        return StoreError(
            f"store {self.path}: {name}[{row}] cannot be read ({problem}); it is clip "
            f"{self.clip_ids[row]!r}. {WAY_OUT}"
        )

    def read_shard(self, name: str, shard: int) -> NDArray[Any]:
        """Read all clips of one shard of one array, through Zarr.

        Zarr checks everything that it stores; its errors are not translated. The clips
        are not compared with their checksums.
        """
        return np.asarray(get_array(self._group, name)[self.spec.rows(shard)])

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one clip of an array.

        Raises:
            StoreError: If the store has no such array.
        """
        return self._reader(name).row_shape

    def row_dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of the values of an array.

        Raises:
            StoreError: If the store has no such array.
        """
        return self._reader(name).dtype

    def _reader(self, name: str) -> Reader:
        if name not in self._readers:
            if name not in self.arrays:
                msg = f"store {self.path}: has no {name!r}"
                raise StoreError(msg)
            self._readers[name] = create_reader(get_array(self._group, name))
        return self._readers[name]

    def content(self, names: Sequence[str]) -> str:
        """Return a hash of the content of some arrays, from the ledger's checksums.

        The ledger is read once.
        """
        return digest([s and [s[n] for n in names] for s in self._shard_sha256])

    @cached_property
    def _shard_sha256(self) -> list[dict[str, str] | None]:
        """SHA-256 of each array of each shard."""
        records = ledger.read_all(self.path, self.spec.shards)
        return [
            None if r is None else {n: c.sha256 for n, c in r.checksums.items()}
            for r in records
        ]

    def size_bytes(self) -> dict[str, int]:
        """Return the size on disk of every array and column, in bytes."""
        names = itertools.chain(arrays_of(self.spec.settings), COLUMNS)
        return {
            a.name: sum(
                f.stat().st_size for f in (self.path / a.name).rglob("*") if f.is_file()
            )
            for a in names
        }


def _reopen(path: Path, sha256: str) -> Store:
    """Open a store in another process, if it is still the same."""
    return Store(path, sha256=sha256)


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a sealed store for reading.

    Args:
        path: Folder of the store, as passed to ``mmder-prep --out``.

    Raises:
        SettingsError: If the path is an address such as ``s3://bucket/store``.
        StoreError: If the folder is not a store, or it differs from its seal.
        StoreVersionError: If the store has another format version.
        StoreIncompleteError: If the store is not sealed.
    """
    return Store(path)
