"""Clips read without Zarr are those that Zarr reads, and its refusals are kept."""

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ShardingCodec, ZstdCodec

from fake_store import make_store
from mmder_store.errors import StoreError
from mmder_store.shard_reader import ClipReader, ZarrReader, create_reader
from mmder_store.store import Store

CLIPS, SHARD = 7, 3
CODECS = {
    "none": None,
    "lz4": BloscCodec(cname="lz4", shuffle="noshuffle"),
    "bit shuffle": BloscCodec(cname="zstd", shuffle="bitshuffle"),
    "zstd": ZstdCodec(level=1),
}


def array_of(folder: Path, codec: Any, dtype: str, **more: Any) -> zarr.Array[Any]:
    """Seven clips in shards of three: one empty, one shard absent, one of zeros."""
    array = zarr.create_array(
        folder,
        shape=(CLIPS, 4, 5),
        dtype=dtype,
        **{"chunks": (1, 4, 5), "shards": (SHARD, 4, 5), "compressors": codec, **more},
        fill_value=np.nan if dtype.startswith("float") else 3,
    )
    rng = np.random.default_rng(0)
    array[0] = (100 * rng.random((4, 5))).astype(dtype)
    array[2] = np.arange(20).reshape(4, 5).astype(dtype)
    array[6] = np.zeros((4, 5), dtype)
    return array


@pytest.fixture(
    scope="module",
    params=[(c, d) for c in CODECS for d in ("uint8", "float16", "float64")],
)
def array(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> zarr.Array[Any]:
    codec, dtype = request.param
    return array_of(tmp_path_factory.mktemp("a") / "x", CODECS[codec], dtype)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, CLIPS - 1), max_size=9))
def test_any_clips_in_any_order_are_those_of_zarr(
    array: zarr.Array[Any], rows: list[int]
) -> None:
    """Bit by bit, the chunks that were never written with them."""
    reader = create_reader(array)
    assert isinstance(reader, ClipReader)
    out = np.empty((len(rows), 4, 5), array.dtype)
    reader.read(rows, out)
    want = np.asarray(array[:])[rows]
    assert out.tobytes() == want.tobytes()


def test_a_disk_that_gives_little_at_a_time_is_asked_again(
    array: zarr.Array[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does from 2 GiB on; a file that ends early is damaged."""
    reader, out = create_reader(array), np.empty((1, 4, 5), array.dtype)
    preadv, most = os.preadv, 7

    def little(file: int, into: list[memoryview], offset: int) -> int:
        return preadv(file, [into[0].cast("B")[:most]], offset)

    monkeypatch.setattr(os, "preadv", little)
    reader.read([2], out)
    assert out[0].tobytes() == np.asarray(array[2]).tobytes()
    most = 0
    with pytest.raises(ValueError, match="bytes early"):
        reader.read([2], out)


def test_memory_that_does_not_fit_is_refused(array: zarr.Array[Any]) -> None:
    """Another type, another shape, or rows with gaps between them."""
    reader = create_reader(array)
    assert isinstance(reader, ClipReader)
    wrong = np.empty((2, 4, 5), "int32"), np.empty((2, 5, 4), array.dtype)
    for out in (*wrong, np.empty((2, 4, 10), array.dtype)[:, :, ::2]):
        with pytest.raises(ValueError, match="expected"):
            reader.read([0, 1], out)


@pytest.mark.parametrize(
    "more",
    [
        {"compressors": GzipCodec()},
        {"chunks": (1, 2, 5)},
        {"chunks": (3, 4, 5), "shards": None},
        {"chunks": (1, 4, 5), "shards": (3, 4, 10)},
        {"serializer": BytesCodec(endian="big")},
    ],
)
def test_other_layouts_are_left_to_zarr(tmp_path: Path, more: dict[str, Any]) -> None:
    """What is not known here is never guessed."""
    codec = more.pop("compressors", None)
    left: list[Any] = [array_of(tmp_path / "x", codec, "float16", **more)]
    start = ShardingCodec(chunk_shape=(1, 4, 5), index_location="start")
    early = zarr.create_array(
        tmp_path / "y", shape=(CLIPS, 4, 5), chunks=(3, 4, 5), dtype="u1",
        serializer=start, compressors=None,
    )  # fmt: skip
    dotted = zarr.create_array(
        tmp_path / "z", shape=(CLIPS, 4, 5), chunks=(1, 4, 5), shards=(3, 4, 5),
        dtype="u1", chunk_key_encoding={"name": "default", "separator": "."},
    )  # fmt: skip
    left += [early, dotted, zarr.create_array({}, shape=(4,), chunks=(1,), dtype="u1")]
    for array in left:
        reader = create_reader(array)
        assert isinstance(reader, ZarrReader)
        array[2] = np.full(reader.row_shape, 5, reader.dtype)
        out = np.empty((2, *reader.row_shape), reader.dtype)
        reader.read([2, 0], out)
        assert out.tobytes() == np.asarray(array[:])[[2, 0]].tobytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reading") / "whole"
    make_store(path, clips=3)
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "s"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *itertools.product(
            ["frames", "stft_16"], ["empty", "half", "index", "length", "far", "end"]
        ),
        ("stft_16", "header"),  # faces are kept as they are, and have none
    ],
)
def test_a_damaged_shard_is_refused_in_one_line(
    store: Path, name: str, damage: str
) -> None:
    """Truncated, or lying about where chunks are and how much is in them."""
    (file,) = (f for f in (store / name / "c").rglob("*") if f.is_file())
    data = bytearray(file.read_bytes())
    index = len(data) - 16 * 8 - 4
    offset, length = np.frombuffer(data, "<u8", 2, index).tolist()
    if damage == "empty":
        data = bytearray()
    elif damage == "half":
        data = data[: len(data) // 2]
    elif damage == "index":
        data[index] ^= 1
    elif damage == "length":
        _point(data, index, offset, length - 1)
    elif damage == "far":
        _point(data, index, len(data) - 8, 2**62)
    elif damage == "header":
        data[offset : offset + 8] = b"\xff" * 8
    else:
        _point(data, index, 2**63, length)
    file.write_bytes(data)
    opened = Store(store)
    with pytest.raises(StoreError, match=rf"{name}\[0\] cannot be read \("):
        opened.read(name, 0)


def _point(data: bytearray, index: int, offset: int, length: int) -> None:
    """Let the index say something else of the first chunk, with a right checksum."""
    data[index : index + 16] = np.array([offset, length], "<u8").tobytes()
    crc = google_crc32c.value(bytes(data[index:-4]))
    data[-4:] = crc.to_bytes(4, "little")


def test_a_store_reads_single_clips_and_batches_alike(store: Path) -> None:
    """Heavy arrays past Zarr, light ones through it."""
    opened = Store(store)
    for name in ("frames", "stft_8", "face_box_px", "frame_time_s"):
        batch = opened.read_batch(name, [2, 0, 2, 1])
        for clip, row in zip(batch, (2, 0, 2, 1), strict=True):
            assert clip.tobytes() == opened.read(name, row).tobytes()
    with pytest.raises(IndexError, match="no clip 3 in 3"):
        opened.read("frames", 3)


def test_a_store_made_before_keeps_its_codec_and_is_read(store: Path) -> None:
    """What compresses an array stands in the array, not in the program."""
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    old: Any = group["stft_16"]
    values = old[:]
    new = group.create_array(
        "stft_16", shape=old.shape, chunks=old.chunks, shards=old.shards,
        dtype=old.dtype, compressors=BloscCodec(cname="lz4", shuffle="shuffle"),
        fill_value=old.fill_value, overwrite=True,
    )  # fmt: skip
    new[:] = values
    opened = Store(store)
    assert opened.read("stft_16", 2).tobytes() == values[2].tobytes()
    assert list(opened.problems()) == []
