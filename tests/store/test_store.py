"""Whatever way a store can be left or damaged, a reader is told and nothing is lost."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from fake_store import make_store
from mmder_store import PrepSettings, Store, StoreSpec, atomic_files, errors, ledger
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from mmder_store.schema import COLUMNS, FORMAT_VERSION, arrays_of, shape_of
from mmder_store.store import create, is_store, seal, write_shard


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "whole"
    make_store(path, clips=20, modality="audio")
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


def spec(clips: int = 5, settings: PrepSettings | None = None) -> StoreSpec:
    return StoreSpec(
        corpus="test",
        clips=clips,
        settings=settings or PrepSettings(modality="audio"),
        label_sets=(LABEL_SETS["ravdess-7"],),
        protocols=(PROTOCOLS["ravdess-contiguous-6"],),
        manifest_sha256="0",
        shard_clips=2,
    )


def blocks(spec: StoreSpec, shard: int, value: float = 1.0) -> dict[str, np.ndarray]:
    rows = spec.rows(shard)
    return {
        a.name: np.full(
            (rows.stop - rows.start, *shape_of(a, spec.settings)), value, a.dtype
        )
        for a in arrays_of(spec.settings)
    }


def fill(path: Path, spec: StoreSpec, shards: list[int]) -> None:
    for shard in shards:
        checksums = write_shard(path, shard, blocks(spec, shard, shard + 1))
        clips = tuple(
            ledger.ClipRecord(clip_id=f"c{i}", key=f"k{i}", status="ok")
            for i in range(spec.rows(shard).start, spec.rows(shard).stop)
        )
        record = ledger.ShardRecord(shard=shard, clips=clips, checksums=checksums)
        ledger.write(path, record)


def names(clips: int) -> list[dict[str, str]]:
    return [
        {"clip_id": f"c{i}", "speaker": "01", "emotion": "sad"} for i in range(clips)
    ]


def test_what_is_written_is_read(store: Path) -> None:
    """A sealed store gives back every column and array, clip by clip."""
    opened = Store(store)
    assert len(opened) == 20
    assert list(opened.problems()) == []
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


def test_a_store_travels_as_its_path(store: Path) -> None:
    """A worker that gets a store opens its own."""
    again = pickle.loads(pickle.dumps(Store(store)))
    assert np.array_equal(again.read("mfcc_16", 3), Store(store).read("mfcc_16", 3))


@pytest.mark.parametrize("value", [0, 7])
def test_a_row_of_nothing_takes_no_bytes(tmp_path: Path, value: int) -> None:
    """And one that is nothing but for one pixel is kept: as Zarr itself writes both."""
    plan = spec(2, PrepSettings())
    made = blocks(plan, 0)
    made["frames"][1] = 0
    made["frames"][1, 3, 1, 4, 1] = value
    for way in ("ours", "plain"):
        create(tmp_path / way, plan)
    write_shard(tmp_path / "ours", 0, made)
    group = zarr.open_group(tmp_path / "plain", use_consolidated=False)
    for name, block in made.items():
        group[name][:] = block  # type: ignore[index]
    files = [f.relative_to(tmp_path / "plain") for f in tmp_path.glob("plain/*/c/**/0")]
    files = [f for f in files if (tmp_path / "plain" / f).is_file()]
    assert len(files) == len(made)
    for file in files:
        assert (tmp_path / "ours" / file).read_bytes() == (
            tmp_path / "plain" / file
        ).read_bytes()
    row = made["frames"][0].nbytes
    size = (tmp_path / "ours/frames/c/0/0/0/0/0").stat().st_size
    assert size // row == (2 if value else 1)


def test_seal_refuses_a_hole_and_names_it(tmp_path: Path) -> None:
    """A missing shard is named, by seal and by reader."""
    path, plan = tmp_path / "s", spec()
    create(path, plan)
    fill(path, plan, [0, 2])
    with pytest.raises(
        errors.StoreIncompleteError, match=r"1 of 3 shards .*\(1\).*again"
    ):
        seal(path, names(5), {})
    with pytest.raises(errors.StoreIncompleteError, match=r"\(1\)"):
        Store(path)
    fill(path, plan, [1])
    seal(path, names(5), {})
    assert float(Store(path).read("mfcc_16", 2)[0, 0, 0]) == 2.0


def test_seal_refuses_other_clips_than_were_written(tmp_path: Path) -> None:
    """Labels are never laid beside the arrays of other clips."""
    path, plan = tmp_path / "s", spec()
    create(path, plan)
    fill(path, plan, [0, 1, 2])
    with pytest.raises(errors.StoreIncompleteError, match="other clips"):
        seal(path, names(5)[::-1], {})


def test_what_a_killed_run_had_begun_to_write_is_removed(tmp_path: Path) -> None:
    """Its drafts, and Zarr's; nothing else of the folder, and no other shard's."""
    path, plan = tmp_path / "s", spec()
    path.mkdir()
    (path / f"zarr.{32 * 'a'}.partial").touch()
    create(path, plan)
    fill(path, plan, [0])
    whole = {p for p in path.rglob("*") if p.is_file()}
    keep = path / "mfcc_16/c/1/note", path / "ledger/.at-000001"
    litter = (
        path / f"zarr.{32 * 'b'}.partial",
        path / f"mfcc_16/zarr.{32 * 'c'}.partial",
        path / f"mfcc_16/c/2/0/0/0.{32 * 'd'}.partial",
        path / "ledger/.4711.000001.json",
    )
    for file in (*keep, *litter):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    create(path, plan)
    write_shard(path, 2, blocks(plan, 2))
    left = {p for p in path.rglob("*") if p.is_file()}
    assert not left & set(litter)
    assert left >= whole | set(keep)
    assert all("/c/2" in str(p) for p in left - whole - set(keep))


def test_nothing_is_removed_from_a_folder_that_is_no_store(tmp_path: Path) -> None:
    """Not even what is named like a draft."""
    mine = [tmp_path / n for n in ("zarr-3.1.zip.partial", f"zarr.{32 * 'a'}.partial")]
    for file in (*mine, tmp_path / "notes.txt"):
        file.touch()
    with pytest.raises(errors.StoreError, match=r"no zarr\.json"):
        create(tmp_path, spec())
    assert all(file.exists() for file in mine)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(errors.StoreError, match=r"no zarr\.json"):
        create(tmp_path, spec())
    assert all(file.exists() for file in mine)


def test_only_whole_shards_are_written(tmp_path: Path) -> None:
    """Rows that are missing, of another type or of another shape are refused."""
    path, plan = tmp_path / "s", spec()
    create(path, plan)
    short = {k: v[:1] for k, v in blocks(plan, 0).items()}
    with pytest.raises(ValueError, match=r"expected float16 \(2, "):
        write_shard(path, 0, short)
    wrong = blocks(plan, 0) | {"mfcc_8": blocks(plan, 0)["mfcc_8"].astype("f4")}
    with pytest.raises(ValueError, match="mfcc_8: float32"):
        write_shard(path, 0, wrong)
    few = {k: v for k, v in blocks(plan, 0).items() if k != "mfcc_8"}
    with pytest.raises(ValueError, match="expected"):
        write_shard(path, 0, few)


def test_creating_again_keeps_what_is_there_and_takes_the_seal_off(store: Path) -> None:
    """A second run finds its shards; readers wait until it seals."""
    before = Store(store).read("mfcc_16", 0)
    old = Store(store).spec
    create(store, old)
    with pytest.raises(errors.StoreIncompleteError, match="not sealed"):
        Store(store)
    assert ledger.read(store, 2) is not None
    rows = [
        {"clip_id": c.clip_id, "speaker": "x", "emotion": "sad"}
        for s in range(3)
        for c in ledger.read(store, s).clips  # type: ignore[union-attr]
    ]
    seal(store, rows, {})
    assert np.array_equal(Store(store).read("mfcc_16", 0), before)


def test_other_settings_never_overwrite(store: Path) -> None:
    """A typing error in --step does not cost the store it points at."""
    found = Store(store).spec
    settings = PrepSettings(modality="audio", step_frames=3)
    with pytest.raises(errors.StoreError, match=r"step_frames 6.0 -> 3.*--overwrite"):
        create(store, spec(20, settings=settings))
    assert Store(store).spec == found


def test_a_corpus_that_grows_by_whole_shards_keeps_all_it_had(tmp_path: Path) -> None:
    """A last shard that was full is not done again."""
    path = tmp_path / "s"
    create(path, spec(4))
    fill(path, spec(4), [0, 1])
    create(path, spec(6))
    assert [ledger.exists(path, s) for s in range(3)] == [True, True, False]


def test_a_corpus_that_grows_keeps_its_first_shards(tmp_path: Path) -> None:
    """Only the shard at the old end is done again."""
    path = tmp_path / "s"
    create(path, spec(5))
    fill(path, spec(5), [0, 1, 2])
    seal(path, names(5), {})
    create(path, spec(8))
    done = [ledger.read(path, s) is not None for s in range(4)]
    assert done == [True, True, False, False]
    fill(path, spec(8), [2, 3])
    seal(path, names(8), {})
    values = [float(Store(path).read("mfcc_16", i)[0, 0, 0]) for i in range(8)]
    assert values == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("damage", ["delete", "empty", "truncate", "flip"])
def test_every_damage_to_a_shard_is_found(store: Path, damage: str) -> None:
    """Missing, empty, truncated or altered: `problems` names shard and array."""
    file = store / "mfcc_16" / "c" / "1" / "0" / "0" / "0"
    data = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 3] ^= 1
        file.write_bytes(data)
    found = list(Store(store).problems())
    assert len(found) == 1
    assert found[0].startswith("shard 1, mfcc_16:")


def test_what_is_no_store_is_refused_in_one_line(tmp_path: Path) -> None:
    """No folder, an empty one, foreign Zarr, and nonsense each say what they are."""
    with pytest.raises(errors.StoreError, match="no such folder"):
        Store(tmp_path / "none")
    with pytest.raises(errors.StoreError, match=r"no zarr\.json"):
        Store(tmp_path)
    (tmp_path / "zarr.json").write_text("{")
    with pytest.raises(errors.StoreError, match="cannot be read"):
        Store(tmp_path)
    foreign = {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
    (tmp_path / "zarr.json").write_text(json.dumps(foreign))
    with pytest.raises(errors.StoreError, match="not made by mmder-prep"):
        Store(tmp_path)
    assert not is_store(tmp_path)


@pytest.mark.parametrize(("version", "way"), [(99, "update"), (0, "again")])
def test_another_format_names_both_versions(
    store: Path, version: int, way: str
) -> None:
    """A newer store asks for a newer mmder, an older one to be prepared again."""
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"]["mmder_format"] = version
    (store / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(
        errors.StoreVersionError,
        match=rf"format {version}.*format {FORMAT_VERSION}.*{way}",
    ):
        Store(store)


def test_create_leaves_a_folder_of_something_else_alone(tmp_path: Path) -> None:
    """A home folder given as --out stays what it is."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.StoreError, match="--overwrite"):
        create(tmp_path, spec())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_settings_survive_json_and_refuse_what_they_do_not_know() -> None:
    """Settings from a store are the settings it was made with."""
    settings = PrepSettings(step_frames=None, mfccs=13)
    assert PrepSettings.from_json(settings.to_json()) == settings
    with pytest.raises(errors.SettingsError, match="colour"):
        PrepSettings.from_json(settings.to_json() | {"colour": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step_frames", 0.0),
        ("step_frames", 1e9),
        ("face_margin", -1.0),
        ("hop_samples", 401),
        ("fft_window_samples", 513),
        ("mfccs", 65),
    ],
)
def test_settings_that_would_cut_sound_or_pictures_are_refused(
    field: str, value: float
) -> None:
    """A hop longer than its window, a window longer than its transform: never."""
    with pytest.raises(errors.SettingsError):
        PrepSettings(**{field: value})  # type: ignore[arg-type]


def test_every_error_crosses_a_process_border_whole() -> None:
    """Pickled and back, type and text are the same."""
    kinds = [
        e
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.MmderError)
    ]
    assert len(kinds) >= 7
    for kind in kinds:
        again = pickle.loads(pickle.dumps(kind("what, found, expected")))
        assert type(again) is kind
        assert str(again) == "what, found, expected"


def test_two_writers_never_hold_one_store(tmp_path: Path) -> None:
    """The second is told; after the first has left, it may."""
    with (
        ledger.write_lock(tmp_path),
        pytest.raises(errors.StoreError, match="another mmder-prep"),
        ledger.write_lock(tmp_path),
    ):
        pass
    with ledger.write_lock(tmp_path):
        pass


def test_a_ledger_file_of_nonsense_says_what_to_do(store: Path) -> None:
    """It is named, and its deletion costs one shard of work."""
    (store / "ledger" / "000001.json").write_text("{}")
    with pytest.raises(errors.StoreError, match=r"000001\.json.*Delete"):
        list(Store(store).problems())


def test_json_is_written_beside_and_renamed(tmp_path: Path) -> None:
    """What cannot be written leaves the old file and no litter."""
    file = tmp_path / "a.json"
    atomic_files.write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        atomic_files.write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
