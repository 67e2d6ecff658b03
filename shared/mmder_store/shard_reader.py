"""Clips read straight from the shards of a Zarr array, without Zarr's machinery.

Zarr stays the contract: what is read is what it would give, bit by bit, checksums
looked at. Its pipeline is left out, which costs more than the reading itself. An array
that is laid out in another way is left to Zarr.

Reference: Zarr's specification, version 3, with its codec sharding_indexed.
"""

import os
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
ENTRY = struct.Struct("<QQ")
"""Offset and length of a chunk, as a shard's index has them."""
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


DECODERS: dict[type, Callable[[Bytes, Bytes], None]] = {
    BloscCodec: _blosc,
    ZstdCodec: _zstd,
}
"""Ways to write the bytes of a chunk; each fills the whole of `out`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZarrReader:
    """Clips as Zarr reads them."""

    array: zarr.Array[Any]
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, rows: Sequence[int], out: NDArray[Any]) -> None:
        """Read clips into the rows of an array, one after the other."""
        for place, row in enumerate(rows):
            out[place] = self.array[row]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipReader:
    """Where the clips of one array lie, each an inner chunk of its own.

    What Zarr computes anew for each call is kept here.
    """

    clips: int
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any
    """Of chunks that were never written."""
    shard_clips: int
    before: str
    after: str
    """Path of a shard, around its number."""
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
        _expect(out.dtype, self.dtype)
        _expect(out.shape[1:], self.row_shape)
        _expect("contiguous" if out.flags.c_contiguous else "gaps", "contiguous")
        shards: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if not 0 <= row < self.clips:
                msg = f"no clip {row} in {self.clips}"
                raise IndexError(msg)
            shards.setdefault(row // self.shard_clips, []).append(place)
        for shard, places in shards.items():
            try:
                file = os.open(f"{self.before}{shard}{self.after}", os.O_RDONLY)
            except FileNotFoundError:
                out[places] = self.fill_value
                continue
            try:
                end = os.lseek(file, 0, os.SEEK_END)
                index = self._index(file, end)
                for place in places:
                    slot = rows[place] % self.shard_clips
                    offset, length = ENTRY.unpack_from(index, slot * ENTRY.size)
                    if offset == length == MISSING:
                        out[place] = self.fill_value
                    elif offset + length > end:
                        msg = f"damaged: chunk to byte {offset + length}, file to {end}"
                        raise ValueError(msg)
                    else:
                        self._chunk(out[place], file, offset, length)
            finally:
                os.close(file)

    def _index(self, file: int, end: int) -> bytes:
        """Read offset and length of every chunk of a shard, its last bytes."""
        length = self.shard_clips * ENTRY.size + 4
        held = os.pread(file, length, max(0, end - length))
        _expect(len(held), length)
        _expect(google_crc32c.value(held[:-4]), int.from_bytes(held[-4:], "little"))
        return held

    def _chunk(self, out: NDArray[Any], file: int, offset: int, length: int) -> None:
        if self.decode is None:
            _expect(length, out.nbytes)
            _fill(out, file, offset)
        else:
            chunk = np.empty(length, np.uint8)
            _fill(chunk, file, offset)
            self.decode(chunk, out.reshape(-1).view(np.uint8))


Reader = ClipReader | ZarrReader


def create_reader(array: zarr.Array[Any]) -> Reader:
    """Give the reader of an array: Zarr's if it is not laid out as expected here."""
    row, first = array.shape[1:], (0,) * array.ndim
    codec, *more = array.metadata.codecs if array.metadata.zarr_format == 3 else [None]
    if (
        not isinstance(codec, ShardingCodec)
        or more
        or not isinstance(array.store, LocalStore)
        or array.shards is None
        or array.shards[1:] != array.shape[1:]
        or not row
        or codec.chunk_shape != (1, *row)
        or codec.index_location.value != "end"
        or codec.index_codecs != (LITTLE, Crc32cCodec())
        or array.metadata.encode_chunk_key(first) != "/".join(("c", *map(str, first)))
        or array.dtype.hasobject
        or sys.byteorder != "little"
        or not hasattr(os, "preadv")
        or codec.codecs[0] not in (BytesCodec(endian=None), LITTLE)
        or any(type(c) not in DECODERS for c in codec.codecs[1:])
        or len(codec.codecs) > 2  # bytes, and at most one more
    ):
        return ZarrReader(array=array, row_shape=row, dtype=array.dtype)
    return ClipReader(
        clips=array.shape[0],
        row_shape=row,
        dtype=array.dtype,
        fill_value=array.fill_value,
        shard_clips=array.shards[0],
        before=f"{array.store.root / array.path}/c/",
        after="/0" * len(row),
        decode=DECODERS[type(codec.codecs[1])] if codec.codecs[1:] else None,
    )


def _expect(found: object, expected: object) -> None:
    if found != expected:
        msg = f"damaged: {found} found, {expected} expected"
        raise ValueError(msg)


def _fill(out: NDArray[Any], file: int, offset: int) -> None:
    """Read as many bytes as there is room for."""
    done = os.preadv(file, [out.data], offset)
    while done < out.nbytes:
        rest = out.reshape(-1).view(np.uint8)[done:]
        count = os.preadv(file, [rest.data], offset + done)
        if not count:
            msg = f"damaged: the file ends {len(rest)} bytes early"
            raise ValueError(msg)
        done += count
