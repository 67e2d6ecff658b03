"""A sealed store returns what was written, as NumPy arrays."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray

import mmder_store
from mmder_store import PrepSettings, Store, StoreSpec, errors, ledger, open_store
from mmder_store.emotions import LABEL_SETS
from mmder_store.schema import COLUMNS, arrays_of, shape_of
from mmder_store.verify import verify_store
from mmder_store.writer import create, missing_files, seal, write_shard
from shard_writing import make_blocks, make_spec, manifest_rows, write_shards

CLIPS = (
    # clip_id, speaker, emotion, status
    ("anna-1", "anna", "happy", "ok"),
    ("anna-2", "anna", "", "failed"),
    ("bert-1", "bert", "sad", "no_audio"),
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips in shards of two; every value of clip i is 10 * i + array index."""
    path = tmp_path_factory.mktemp("known") / "store"
    spec = StoreSpec(
        corpus="test",
        clips=3,
        settings=PrepSettings(modality="audio"),
        label_sets=(LABEL_SETS["ravdess-7"],),
        protocols=(),
        manifest_sha256="0",
        shard_clips=2,
    )
    create(path, spec)
    for shard, clips in ((0, (0, 1)), (1, (2,))):
        blocks = {
            a.name: np.stack(
                [
                    np.full(shape_of(a, spec.settings), 10 * i + number, a.dtype)
                    for i in clips
                ]
            )
            for number, a in enumerate(arrays_of(spec.settings))
        }
        checksums = write_shard(path, shard, blocks)
        records = tuple(
            ledger.ClipRecord(
                clip_id=CLIPS[i][0],
                key=str(i),
                status=CLIPS[i][3],
                facts={"step_s": 0.2} if i == 0 else {},
            )
            for i in clips
        )
        ledger.write(
            path, ledger.ShardRecord(shard=shard, clips=records, checksums=checksums)
        )
    rows = [
        {"clip_id": clip_id, "speaker": speaker, "emotion": emotion}
        for clip_id, speaker, emotion, _ in CLIPS
    ]
    seal(path, rows, {"mmder": "1.2"})
    return path


def test_a_sealed_store_returns_what_was_written(store: Path) -> None:
    """Every column and array, clip by clip."""
    opened = Store(store)
    assert len(opened) == 20
    assert list(verify_store(opened)) == []
    assert opened.read("mfcc_8", 19).shape == (8, 40, 81)
    assert list(opened.columns["clip_id"][:2]) == ["c0000", "c0001"]
    assert set(opened.columns) == {c.name for c in COLUMNS}
    assert opened.spec.label_sets[0].label("calm") == 4


def test_xarray_opens_a_sealed_store_without_a_warning(store: Path) -> None:
    """Dimensions, units and meanings are those of the schema."""
    found = xarray.open_zarr(store)
    assert found.sizes["clip"] == 20
    assert found["stft_16"].dims == ("clip", "window_16", "frequency", "time_16")
    assert found["stft_16"].attrs["units"] == "dB"


def test_a_store_is_pickled_as_its_path(store: Path) -> None:
    """A worker that receives a store opens its own."""
    data = pickle.dumps(Store(store))
    assert len(data) < 500
    copy = pickle.loads(data)
    assert np.array_equal(copy.read("mfcc_16", 3), Store(store).read("mfcc_16", 3))


@pytest.mark.parametrize("kind", [str, Path])
def test_open_store_accepts_str_and_path(known: Path, kind: type) -> None:
    store = open_store(kind(known))
    assert isinstance(store, Store)
    assert store.path == known
    assert len(store) == 3
    assert store.versions == {"mmder": "1.2"}
    with pytest.raises(errors.StoreError, match="no such folder"):
        open_store(kind(known / "none"))


def test_names_ids_and_columns_are_those_that_were_written(known: Path) -> None:
    """An unknown number is NaN or -1, an unknown text is empty."""
    store = open_store(known)
    assert store.arrays == (
        "stft_16", "stft_8", "mfcc_16", "mfcc_8", "window_16_s", "window_8_s"
    )  # fmt: skip
    assert store.clip_ids == ("anna-1", "anna-2", "bert-1")
    assert list(store.columns["emotion"]) == ["happy", "", "sad"]
    assert list(store.columns["note"]) == ["", "", ""]
    assert store.columns["step_s"].tolist()[0] == 0.2
    assert np.isnan(store.columns["step_s"][1:]).all()
    assert store.columns["sound_rate_hz"].tolist() == [-1, -1, -1]
    assert "stft_16" in store
    assert "emotion" in store
    assert "frames" not in store


def test_read_returns_one_clip_of_one_array(known: Path) -> None:
    """`mfcc_16` is the third array: the clips hold 2, 12 and 22."""
    store = open_store(known)
    for index, value in enumerate((2, 12, 22)):
        clip = store.read("mfcc_16", index)
        assert clip.shape == store.row_shape("mfcc_16") == (16, 40, 41)
        assert clip.dtype == np.float16
        assert (clip == value).all()
    batch = store.read_batch("window_8_s", [2, 0])
    assert batch.shape == (2, 8, 2)
    assert batch[:, 0, 0].tolist() == [25.0, 5.0]
    assert store.read_shard("mfcc_16", 1).shape == (1, 16, 40, 41)


def test_reading_an_unknown_array_or_clip_is_an_error(known: Path) -> None:
    store = open_store(known)
    with pytest.raises(errors.StoreError, match="has no 'frames'"):
        store.read("frames", 0)
    for name in ("mfcc_16", "window_8_s"):
        with pytest.raises(IndexError):
            store.read(name, 3)


def test_clips_yields_the_requested_arrays_of_every_clip(known: Path) -> None:
    clips = list(open_store(known).clips(["stft_8", "window_16_s"]))
    assert [
        (clip.index, clip.clip_id, clip.speaker, clip.emotion, clip.status)
        for clip in clips
    ] == [(index, *row) for index, row in enumerate(CLIPS)]
    for clip in clips:
        assert list(clip.arrays) == ["stft_8", "window_16_s"]
        assert clip.arrays["stft_8"].shape == (8, 257, 81)
        assert (clip.arrays["stft_8"] == 10 * clip.index + 1).all()
        assert clip.arrays["window_16_s"].shape == (16, 2)
        assert (clip.arrays["window_16_s"] == 10 * clip.index + 4).all()


def test_iteration_yields_every_array(known: Path) -> None:
    store = open_store(known)
    values = [[a.flat[0] for a in clip.arrays.values()] for clip in store]
    assert values == [
        [0, 1, 2, 3, 4, 5],
        [10, 11, 12, 13, 14, 15],
        [20, 21, 22, 23, 24, 25],
    ]
    assert [dict(clip.arrays) for clip in store.clips([])] == [{}, {}, {}]
    with pytest.raises(errors.StoreError, match="has no 'frames'"):
        next(store.clips(["frames"]))


def test_public_names_are_imported_on_first_use() -> None:
    """`import mmder_store` loads neither zarr nor numpy."""
    for name in mmder_store.__all__:
        assert getattr(mmder_store, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Shop'"):
        _ = mmder_store.Shop
    code = (
        "import sys, mmder_store\n"
        "found = {'zarr', 'numpy', 'rich', 'torch'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "is missing": Path.unlink,
    "checksum": lambda file: file.write_bytes(flipped(file.read_bytes())),
    "cannot be read": lambda file: file.write_bytes(b""),
}


def flipped(content: bytes) -> bytes:
    """Return bytes in which one bit of the first value differs."""
    return bytes([content[0] ^ 4]) + content[1:]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["stft_8", "mfcc_16", "window_16_s"])
def test_a_damaged_shard_is_never_read_as_data(
    store: Path, name: str, damage: str
) -> None:
    """The line names store, array, clip and the way out. Other shards are readable."""
    opened = Store(store)
    (file,) = (f for f in (store / name / "c" / "1").rglob("*") if f.is_file())
    DAMAGE[damage](file)
    assert opened.read(name, 0).shape == opened.row_shape(name)
    with pytest.raises(errors.StoreError) as caught:
        opened.read_batch(name, [1, 8])
    line = str(caught.value)
    assert f"store {store}: {name}[8] cannot be read" in line
    assert "clip 'c0008'" in line
    assert "mmder-prep verify --repair" in line
    assert "\n" not in line
    if damage == "is missing":
        assert f"its file {file} is missing" in line


def test_an_empty_shard_without_a_file_is_sound(tmp_path: Path) -> None:
    """Zarr writes no file if all clips of a shard are empty."""
    path, spec = tmp_path / "s", make_spec(4)
    create(path, spec)
    write_shards(path, spec, [1])
    blocks = {
        name: np.full_like(block, np.nan)
        for name, block in make_blocks(spec, 0).items()
    }
    clips = tuple(
        ledger.ClipRecord(clip_id=f"c{i}", key=f"k{i}", status="failed") for i in (0, 1)
    )
    checksums = write_shard(path, 0, blocks)
    ledger.write(path, ledger.ShardRecord(shard=0, clips=clips, checksums=checksums))
    seal(path, manifest_rows(4), {})
    opened = Store(path)
    assert not list((path / "mfcc_16" / "c" / "0").rglob("0/0/0"))
    assert np.isnan(opened.read("mfcc_16", 1)).all()
    assert list(verify_store(opened)) == []
    record = ledger.read(path, 0)
    assert record is not None
    assert missing_files(path, record, spec) == []


def test_the_hash_of_arrays_reads_the_ledger_once(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reads = open_store(known), []
    original = ledger.read_all

    def count(path: Path, shards: int) -> object:
        reads.append(path)
        return original(path, shards)

    monkeypatch.setattr(ledger, "read_all", count)
    stft, mfcc = store.content(["stft_16"]), store.content(["mfcc_16"])
    assert len({stft, mfcc, store.content(["stft_16", "mfcc_16"])}) == 3
    assert store.content(["stft_16"]) == stft
    assert len(reads) == 1
