"""Fast reading of clips from the shards of a Zarr array.

The result is bit for bit that of Zarr, checksums are verified, and damage raises an
error. Only Zarr's codec pipeline is bypassed, which takes longer than the reading
itself. An array with another layout is read through Zarr.

Reference: the Zarr specification, version 3, with its codec sharding_indexed.
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
"""Offset and length of a chunk that was not written."""
ENTRY = struct.Struct("<QQ")
"""Entry of a shard index: offset and length of a chunk, in bytes."""
LITTLE = BytesCodec(endian="little")
"""Codec of little-endian numbers."""


def _blosc(chunk: Bytes, out: Bytes) -> None:
    # Bytes 4 to 8 of the header: size of the output; 12 to 16: size of the chunk.
    header = chunk[4:16].view("<u4").tolist() if len(chunk) >= 16 else []
    _expect(header[::2], [len(out), len(chunk)])
    blosc.decompress(chunk, out)


def _zstd(chunk: Bytes, out: Bytes) -> None:
    decoded = np.frombuffer(zstd.decompress(chunk), np.uint8)
    _expect(len(decoded), len(out))
    out[:] = decoded


def _accept(_: int) -> None:
    """Accept every clip."""


Check = Callable[[int], None]
"""Function that is called with the position of each clip that was read, while its bytes
are in the cache of the processor."""


DECODERS: dict[type, Callable[[Bytes, Bytes], None]] = {
    BloscCodec: _blosc,
    ZstdCodec: _zstd,
}
"""Decoders by codec. Each decodes a chunk and fills all of `out`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZarrReader:
    """Reader of an array through Zarr."""

    array: zarr.Array[Any]
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(
        self, rows: Sequence[int], out: NDArray[Any], check: Check = _accept
    ) -> None:
        """Read clips into the rows of an array, one after the other."""
        for position, row in enumerate(rows):
            out[position] = self.array[row]
            check(position)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipReader:
    """Reader of an array in which each clip is an inner chunk of its own.

    It keeps the layout of the array, which Zarr would compute again for each call.
    """

    clips: int
    """Number of clips."""
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any
    """Value of chunks that were not written."""
    shard_clips: int
    """Number of clips per shard."""
    path_prefix: str
    path_suffix: str
    """Path of a shard, before and after its index."""
    decode: Callable[[Bytes, Bytes], None] | None
    """Decoder of the chunks; None if they are stored uncompressed."""

    def read(
        self, rows: Sequence[int], out: NDArray[Any], check: Check = _accept
    ) -> None:
        """Read clips into the rows of a contiguous array. Each shard is opened once.

        Args:
            rows: Indices of the clips.
            out: Array to read into.
            check: Called with the position of each clip in `rows` when it is read.

        Raises:
            IndexError: If there is no such clip.
            OSError: If a file cannot be read.
            ValueError: If an index or a chunk is damaged, or `out` does not fit.
            RuntimeError: If the codec rejects a chunk.
        """
        _expect(out.dtype, self.dtype)
        _expect(out.shape[1:], self.row_shape)
        _expect("contiguous" if out.flags.c_contiguous else "gaps", "contiguous")
        shards: dict[int, list[int]] = {}
        for position, row in enumerate(rows):
            if not 0 <= row < self.clips:
                msg = f"no clip {row} in {self.clips}"
                raise IndexError(msg)
            shards.setdefault(row // self.shard_clips, []).append(position)
        for shard, positions in shards.items():
            try:
                file = os.open(
                    f"{self.path_prefix}{shard}{self.path_suffix}", os.O_RDONLY
                )
            except FileNotFoundError:
                # Zarr writes no file if all clips of a shard are empty.
                out[positions] = self.fill_value
                for position in positions:
                    check(position)
                continue
            try:
                end = os.lseek(file, 0, os.SEEK_END)
                index = self._read_index(file, end)
                for position in positions:
                    slot = rows[position] % self.shard_clips
                    offset, length = ENTRY.unpack_from(index, slot * ENTRY.size)
                    if offset == length == MISSING:
                        out[position] = self.fill_value
                    elif offset + length > end:
                        msg = f"damaged: chunk to byte {offset + length}, file to {end}"
                        raise ValueError(msg)
                    else:
                        self._read_chunk(out[position], file, offset, length)
                    check(position)
            finally:
                os.close(file)

    def _read_index(self, file: int, end: int) -> bytes:
        """Read the index at the end of a shard, and check its checksum."""
        length = self.shard_clips * ENTRY.size + 4
        index = os.pread(file, length, max(0, end - length))
        _expect(len(index), length)
        _expect(google_crc32c.value(index[:-4]), int.from_bytes(index[-4:], "little"))
        return index

    def _read_chunk(
        self, out: NDArray[Any], file: int, offset: int, length: int
    ) -> None:
        if self.decode is None:
            _expect(length, out.nbytes)
            _fill(out, file, offset)
        else:
            chunk = np.empty(length, np.uint8)
            _fill(chunk, file, offset)
            self.decode(chunk, out.reshape(-1).view(np.uint8))


Reader = ClipReader | ZarrReader
"""Reader of one array."""


def create_reader(array: zarr.Array[Any]) -> Reader:
    """Return the fast reader of an array, or Zarr's if the array has another layout."""
    row, first = array.shape[1:], (0,) * array.ndim
    codec, *others = (
        array.metadata.codecs if array.metadata.zarr_format == 3 else [None]
    )
    if (
        not isinstance(codec, ShardingCodec)
        or others
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
        or len(codec.codecs) > 2  # the bytes, and at most one compressor
    ):
        return ZarrReader(array=array, row_shape=row, dtype=array.dtype)
    return ClipReader(
        clips=array.shape[0],
        row_shape=row,
        dtype=array.dtype,
        fill_value=array.fill_value,
        shard_clips=array.shards[0],
        path_prefix=f"{array.store.root / array.path}/c/",
        path_suffix="/0" * len(row),
        decode=DECODERS[type(codec.codecs[1])] if codec.codecs[1:] else None,
    )


def _expect(found: object, expected: object) -> None:
    if found != expected:
        msg = f"damaged: {found} found, {expected} expected"
        raise ValueError(msg)


def _fill(out: NDArray[Any], file: int, offset: int) -> None:
    """Read bytes until `out` is full."""
    read = os.preadv(file, [out.data], offset)
    while read < out.nbytes:
        rest = out.reshape(-1).view(np.uint8)[read:]
        count = os.preadv(file, [rest.data], offset + read)
        if not count:
            msg = f"damaged: the file ends {len(rest)} bytes early"
            raise ValueError(msg)
        read += count
