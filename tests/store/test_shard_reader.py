"""The fast reader returns what Zarr returns, and finds the same damage."""

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
from mmder_store.sealing import reseal
from mmder_store.shard_reader import ClipReader, ZarrReader, create_reader
from mmder_store.store import Store
from mmder_store.verify import verify_store

CLIPS, SHARD = 7, 3
CODECS = {
    "none": None,
    "lz4": BloscCodec(cname="lz4", shuffle="noshuffle"),
    "bit shuffle": BloscCodec(cname="zstd", shuffle="bitshuffle"),
    "zstd": ZstdCodec(level=1),
}


def create_array(
    folder: Path, codec: Any, dtype: str, **options: Any
) -> zarr.Array[Any]:
    """Create seven clips in shards of three. Clip 1 and shard 1 are not written."""
    array = zarr.create_array(
        folder,
        shape=(CLIPS, 4, 5),
        dtype=dtype,
        **{
            "chunks": (1, 4, 5),
            "shards": (SHARD, 4, 5),
            "compressors": codec,
            **options,
        },
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
    return create_array(tmp_path_factory.mktemp("a") / "x", CODECS[codec], dtype)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, CLIPS - 1), max_size=9))
def test_clips_in_any_order_are_those_of_zarr(
    array: zarr.Array[Any], rows: list[int]
) -> None:
    """Bit for bit, including chunks that were not written."""
    reader = create_reader(array)
    assert isinstance(reader, ClipReader)
    out = np.empty((len(rows), 4, 5), array.dtype)
    reader.read(rows, out)
    expected = np.asarray(array[:])[rows]
    assert out.tobytes() == expected.tobytes()


def test_a_short_read_is_continued(
    array: zarr.Array[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel returns at most 2 GiB per call. A file that ends early is damaged."""
    reader, out = create_reader(array), np.empty((1, 4, 5), array.dtype)
    preadv, limit = os.preadv, 7

    def short_read(file: int, into: list[memoryview], offset: int) -> int:
        return preadv(file, [into[0].cast("B")[:limit]], offset)

    monkeypatch.setattr(os, "preadv", short_read)
    reader.read([2], out)
    assert out[0].tobytes() == np.asarray(array[2]).tobytes()
    limit = 0
    with pytest.raises(ValueError, match="bytes early"):
        reader.read([2], out)


def test_an_output_array_that_does_not_fit_is_an_error(array: zarr.Array[Any]) -> None:
    """Another type, another shape, or rows that are not contiguous."""
    reader = create_reader(array)
    assert isinstance(reader, ClipReader)
    wrong = np.empty((2, 4, 5), "int32"), np.empty((2, 5, 4), array.dtype)
    for out in (*wrong, np.empty((2, 4, 10), array.dtype)[:, :, ::2]):
        with pytest.raises(ValueError, match="expected"):
            reader.read([0, 1], out)


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": GzipCodec()},
        {"chunks": (1, 2, 5)},
        {"chunks": (3, 4, 5), "shards": None},
        {"chunks": (1, 4, 5), "shards": (3, 4, 10)},
        {"serializer": BytesCodec(endian="big")},
    ],
)
def test_other_layouts_are_read_through_zarr(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Also a shard index at the start, other file names, and an array in memory."""
    codec = options.pop("compressors", None)
    arrays: list[Any] = [create_array(tmp_path / "x", codec, "float16", **options)]
    start = ShardingCodec(chunk_shape=(1, 4, 5), index_location="start")
    index_first = zarr.create_array(
        tmp_path / "y", shape=(CLIPS, 4, 5), chunks=(3, 4, 5), dtype="u1",
        serializer=start, compressors=None,
    )  # fmt: skip
    dotted = zarr.create_array(
        tmp_path / "z", shape=(CLIPS, 4, 5), chunks=(1, 4, 5), shards=(3, 4, 5),
        dtype="u1", chunk_key_encoding={"name": "default", "separator": "."},
    )  # fmt: skip
    arrays += [
        index_first,
        dotted,
        zarr.create_array({}, shape=(4,), chunks=(1,), dtype="u1"),
    ]
    for array in arrays:
        reader = create_reader(array)
        assert isinstance(reader, ZarrReader)
        array[2] = np.full(reader.row_shape, 5, reader.dtype)
        out = np.empty((2, *reader.row_shape), reader.dtype)
        reader.read([2, 0], out)
        assert out.tobytes() == np.asarray(array[:])[[2, 0]].tobytes()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reading") / "original"
    make_store(path, clips=3)
    return path


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "s"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *itertools.product(
            ["frames", "stft_16"], ["empty", "half", "index", "length", "far", "end"]
        ),
        ("stft_16", "header"),  # frames are stored uncompressed and have no header
    ],
)
def test_a_damaged_shard_is_an_error_of_one_line(
    store: Path, name: str, damage: str
) -> None:
    """Truncated files, and wrong offsets, lengths and sizes of chunks."""
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
    """Change the index entry of the first chunk, and update the checksum."""
    data[index : index + 16] = np.array([offset, length], "<u8").tobytes()
    crc = google_crc32c.value(bytes(data[index:-4]))
    data[-4:] = crc.to_bytes(4, "little")


def test_single_clips_equal_those_of_a_batch(store: Path) -> None:
    """Both for the fast reader (heavy arrays) and for Zarr (light arrays)."""
    opened = Store(store)
    for name in ("frames", "stft_8", "face_box_px", "frame_time_s"):
        batch = opened.read_batch(name, [2, 0, 2, 1])
        for clip, row in zip(batch, (2, 0, 2, 1), strict=True):
            assert clip.tobytes() == opened.read(name, row).tobytes()
    with pytest.raises(IndexError, match="no clip 3 in 3"):
        opened.read("frames", 3)


def test_an_array_with_an_older_codec_is_read(original: Path, store: Path) -> None:
    """The codec to read with is taken from the array, not from the program."""
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    old: Any = group["stft_16"]
    values = old[:]
    new = group.create_array(
        "stft_16", shape=old.shape, chunks=old.chunks, shards=old.shards,
        dtype=old.dtype, compressors=BloscCodec(cname="lz4", shuffle="shuffle"),
        fill_value=old.fill_value, overwrite=True,
    )  # fmt: skip
    new[:] = values
    before = Store(original).sha256
    assert reseal(store) == before
    opened = Store(store)
    assert opened.read("stft_16", 2).tobytes() == values[2].tobytes()
    assert list(verify_store(opened)) == []
