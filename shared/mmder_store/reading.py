"""Clips read straight from the shards of a Zarr array, without Zarr's machinery.

Zarr stays the contract: what is read is what it would give, bit by bit, checksums
looked at. Its pipeline is left out, which costs more than the reading itself. An array
that is laid out in another way is left to Zarr.

Reference: Zarr's specification, version 3, with its codec sharding_indexed.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs import blosc, zstd
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.storage import LocalStore

Bytes = NDArray[np.uint8]

MISSING = 2**64 - 1
"""Offset and length of a chunk that was never written."""
LITTLE = BytesCodec(endian="little")


def _blosc(chunk: Bytes, out: Bytes) -> None:
    # Bytes 4 to 8 of the header: how many come out; 12 to 16: how many went in.
    held = chunk[4:16].view("<u4").tolist() if len(chunk) >= 16 else []
    _expect(held[::2], [len(out), len(chunk)])
    blosc.decompress(chunk, out)


def _zstd(chunk: Bytes, out: Bytes) -> None:
    found = np.frombuffer(zstd.decompress(chunk), np.uint8)
    _expect(len(found), len(out))
    out[:] = found


DECODE: dict[type, Callable[[Bytes, Bytes], None]] = {
    BloscCodec: _blosc,
    ZstdCodec: _zstd,
}
"""Ways to write the bytes of a chunk; each fills the whole of `out`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipReader:
    """Where the clips of one array lie, each an inner chunk of its own."""

    array: zarr.Array[Any]
    folder: Path
    shard_clips: int
    zeros: tuple[int, ...]
    """Place of a shard along all other axes."""
    decode: Callable[[Bytes, Bytes], None] | None
    """None where chunks are stored as they are."""

    def read(self, rows: Sequence[int], out: NDArray[Any]) -> None:
        """Read clips into the rows of a contiguous array, each shard opened once.

        Raises:
            IndexError: If there is no such clip.
            OSError: If the disk refuses.
            ValueError: If an index or a chunk is damaged, or `out` does not fit.
            RuntimeError: If its codec finds it damaged.
        """
        _expect((out.dtype, out.shape[1:]), (self.array.dtype, self.array.shape[1:]))
        _expect("contiguous" if out.flags.c_contiguous else "gaps", "contiguous")
        shards: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if not 0 <= row < self.array.shape[0]:
                msg = f"no clip {row} in {self.array.shape[0]}"
                raise IndexError(msg)
            shards.setdefault(row // self.shard_clips, []).append(place)
        for shard, places in shards.items():
            try:
                file = os.open(f"{self.folder}/{self.key(shard)}", os.O_RDONLY)
            except FileNotFoundError:
                out[places] = self.array.fill_value
                continue
            try:
                end = os.fstat(file).st_size
                index = self._index(file, end)
                for place in places:
                    offset, length = index[rows[place] % self.shard_clips]
                    if offset == length == MISSING:
                        out[place] = self.array.fill_value
                    elif offset + length > end:
                        msg = f"damaged: chunk to byte {offset + length}, file to {end}"
                        raise ValueError(msg)
                    else:
                        held = out[place].reshape(-1).view(np.uint8)
                        self._chunk(held, file, offset, length)
            finally:
                os.close(file)

    def key(self, shard: int) -> str:
        """Give the file of a shard, within the folder."""
        return self.array.metadata.encode_chunk_key((shard, *self.zeros))

    def _index(self, file: int, end: int) -> list[list[int]]:
        """Read offset and length of every chunk of a shard, its last bytes."""
        held = np.empty(16 * self.shard_clips + 4, np.uint8)
        _expect(min(end, len(held)), len(held))
        _fill(held, file, end - len(held))
        table, crc = held[:-4], held[-4:]
        _expect(google_crc32c.value(table), int(crc.view("<u4")[0]))
        rows: list[list[int]] = table.view("<u8").reshape(-1, 2).tolist()
        return rows

    def _chunk(self, out: Bytes, file: int, offset: int, length: int) -> None:
        if self.decode is None:
            _expect(length, len(out))
            _fill(out, file, offset)
        else:
            chunk = np.empty(length, np.uint8)
            _fill(chunk, file, offset)
            self.decode(chunk, out)


def reader_of(array: zarr.Array[Any]) -> ClipReader | None:
    """Give the reader of an array, None if it is not laid out as expected here."""
    codec, *more = array.metadata.codecs if array.metadata.zarr_format == 3 else [None]
    if (
        not isinstance(codec, ShardingCodec)
        or more
        or not isinstance(array.store, LocalStore)
        or array.shards is None
        or array.shards[1:] != array.shape[1:]
        or codec.chunk_shape != (1, *array.shape[1:])
        or codec.index_location.value != "end"
        or codec.index_codecs != (LITTLE, Crc32cCodec())
        or array.dtype.hasobject
        or sys.byteorder != "little"
        or not hasattr(os, "preadv")
        or codec.codecs[0] not in (BytesCodec(endian=None), LITTLE)
        or any(type(c) not in DECODE for c in codec.codecs[1:])
        or len(codec.codecs) > 2  # bytes, and at most one more
    ):
        return None
    return ClipReader(
        array=array,
        folder=array.store.root / array.path,
        shard_clips=array.shards[0],
        zeros=(0,) * (array.ndim - 1),
        decode=DECODE[type(codec.codecs[1])] if codec.codecs[1:] else None,
    )


def _expect(found: object, expected: object) -> None:
    if found != expected:
        msg = f"damaged: {found} found, {expected} expected"
        raise ValueError(msg)


def _fill(out: Bytes, file: int, offset: int) -> None:
    """Read as many bytes as there is room for."""
    view = out.data
    while view:
        count = os.preadv(file, [view], offset)
        if not count:
            msg = f"damaged: the file ends {len(view)} bytes early"
            raise ValueError(msg)
        view, offset = view[count:], offset + count
