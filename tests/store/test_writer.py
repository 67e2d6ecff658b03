"""Whatever state a run leaves a store in, finished shards are kept and none is lost."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from killed_steps import KilledError, Steps
from killing import contents
from mmder_store import PrepSettings, Store, errors, ledger
from mmder_store.writer import create, missing_files, seal, write_shard
from shard_writing import make_blocks, make_spec, manifest_rows, write_shards


@pytest.mark.parametrize("value", [0, 7])
def test_an_empty_clip_takes_no_bytes(tmp_path: Path, value: int) -> None:
    """A clip that is empty but for one pixel is kept. Zarr writes both the same way."""
    spec = make_spec(2, PrepSettings())
    blocks = make_blocks(spec, 0)
    blocks["frames"][1] = 0
    blocks["frames"][1, 3, 1, 4, 1] = value
    for name in ("ours", "plain"):
        create(tmp_path / name, spec)
    write_shard(tmp_path / "ours", 0, blocks)
    group = zarr.open_group(tmp_path / "plain", use_consolidated=False)
    for name, block in blocks.items():
        group[name][:] = block  # type: ignore[index]
    files = [f.relative_to(tmp_path / "plain") for f in tmp_path.glob("plain/*/c/**/0")]
    files = [f for f in files if (tmp_path / "plain" / f).is_file()]
    assert len(files) == len(blocks)
    for file in files:
        assert (tmp_path / "ours" / file).read_bytes() == (
            tmp_path / "plain" / file
        ).read_bytes()
    clip_bytes = blocks["frames"][0].nbytes
    size = (tmp_path / "ours/frames/c/0/0/0/0/0").stat().st_size
    assert size // clip_bytes == (2 if value else 1)


def test_seal_fails_while_a_shard_is_missing(tmp_path: Path) -> None:
    """Both `seal` and `Store` name the missing shard."""
    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    write_shards(path, spec, [0, 2])
    with pytest.raises(
        errors.StoreIncompleteError, match=r"1 of 3 shards .*\(1\).*Rerun"
    ):
        seal(path, manifest_rows(5), {})
    with pytest.raises(errors.StoreIncompleteError, match=r"\(1\)"):
        Store(path)
    write_shards(path, spec, [1])
    seal(path, manifest_rows(5), {})
    assert float(Store(path).read("mfcc_16", 2)[0, 0, 0]) == 2.0


def test_seal_fails_if_the_manifest_has_other_clips(tmp_path: Path) -> None:
    """Labels are never assigned to the arrays of other clips."""
    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    write_shards(path, spec, [0, 1, 2])
    with pytest.raises(errors.StoreIncompleteError, match="other clips"):
        seal(path, manifest_rows(5)[::-1], {})


def test_drafts_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """Drafts of mmder and of Zarr are removed; every other file is kept."""
    path, spec = tmp_path / "s", make_spec()
    path.mkdir()
    (path / f"zarr.{32 * 'a'}.partial").touch()
    create(path, spec)
    write_shards(path, spec, [0])
    before = {p for p in path.rglob("*") if p.is_file()}
    kept = path / "mfcc_16/c/1/note", path / "ledger/.at-000001"
    drafts = (
        path / f"zarr.{32 * 'b'}.partial",
        path / f"mfcc_16/zarr.{32 * 'c'}.partial",
        path / f"mfcc_16/c/2/0/0/0.{32 * 'd'}.partial",
        path / f"ledger/.{16 * 'e'}.000001.json",
        path / "ledger/.run",
    )
    for file in (*kept, *drafts):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    create(path, spec)
    write_shard(path, 2, make_blocks(spec, 2))
    after = {p for p in path.rglob("*") if p.is_file()}
    assert not after & set(drafts)
    assert after >= before | set(kept)
    assert all("/c/2" in str(p) for p in after - before - set(kept))


def test_nothing_is_removed_from_a_folder_that_is_not_a_store(tmp_path: Path) -> None:
    """Not even a file that is named like a draft."""
    mine = [tmp_path / n for n in ("zarr-3.1.zip.partial", f"zarr.{32 * 'a'}.partial")]
    for file in (*mine, tmp_path / "notes.txt"):
        file.touch()
    with pytest.raises(errors.StoreError, match=r"no zarr\.json"):
        create(tmp_path, make_spec())
    assert all(file.exists() for file in mine)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(errors.StoreError, match=r"no zarr\.json"):
        create(tmp_path, make_spec())
    assert all(file.exists() for file in mine)


def test_only_whole_shards_are_written(tmp_path: Path) -> None:
    """Missing rows, another type or a missing array are errors."""
    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    short = {k: v[:1] for k, v in make_blocks(spec, 0).items()}
    with pytest.raises(ValueError, match=r"expected float16 \(2, "):
        write_shard(path, 0, short)
    blocks = make_blocks(spec, 0)
    wrong = blocks | {"mfcc_8": blocks["mfcc_8"].astype("f4")}
    with pytest.raises(ValueError, match="mfcc_8: float32"):
        write_shard(path, 0, wrong)
    few = {k: v for k, v in blocks.items() if k != "mfcc_8"}
    with pytest.raises(ValueError, match="expected"):
        write_shard(path, 0, few)


def test_a_creation_that_is_killed_at_any_step_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run leaves a store that the same command continues."""
    spec, steps = make_spec(), Steps(monkeypatch)
    create(tmp_path / "whole", spec)
    expected = contents(tmp_path / "whole")
    for last in range(steps.count):
        path = tmp_path / f"killed-{last}"
        steps.limit(last)
        with pytest.raises(KilledError):
            create(path, spec)
        steps.limit()
        create(path, spec)
        assert contents(path) == expected, last


def test_creating_again_keeps_the_shards_and_removes_the_seal(store: Path) -> None:
    """A second run keeps the shards. The store cannot be read until it is sealed."""
    before = Store(store).read("mfcc_16", 0)
    spec = Store(store).spec
    create(store, spec)
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


def test_a_store_with_other_settings_is_never_overwritten(store: Path) -> None:
    """A typing error in --step does not destroy the store at --out."""
    before = Store(store).spec
    settings = PrepSettings(modality="audio", step_frames=3)
    with pytest.raises(errors.StoreError, match=r"step_frames 6.0 -> 3.*--overwrite"):
        create(store, make_spec(20, settings=settings))
    assert Store(store).spec == before


def test_a_corpus_that_grows_by_whole_shards_keeps_all_shards(tmp_path: Path) -> None:
    """A last shard that was full is not prepared again."""
    path = tmp_path / "s"
    create(path, make_spec(4))
    write_shards(path, make_spec(4), [0, 1])
    create(path, make_spec(6))
    assert [ledger.exists(path, s) for s in range(3)] == [True, True, False]


def test_a_corpus_that_grows_keeps_its_full_shards(tmp_path: Path) -> None:
    """Only the last shard, which was not full, is prepared again."""
    path = tmp_path / "s"
    create(path, make_spec(5))
    write_shards(path, make_spec(5), [0, 1, 2])
    seal(path, manifest_rows(5), {})
    create(path, make_spec(8))
    done = [ledger.read(path, s) is not None for s in range(4)]
    assert done == [True, True, False, False]
    write_shards(path, make_spec(8), [2, 3])
    seal(path, manifest_rows(8), {})
    values = [float(Store(path).read("mfcc_16", i)[0, 0, 0]) for i in range(8)]
    assert values == [1, 1, 2, 2, 3, 3, 4, 4]


def test_create_does_not_change_a_folder_of_something_else(tmp_path: Path) -> None:
    """A home folder passed as --out is not changed."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.StoreError, match=r"Choose another --out\.$"):
        create(tmp_path, make_spec())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_record_is_written_after_its_shard_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut, no record has a shard that is lost.

    Every file of the shard and every folder above it is synced before the record gets
    its name, and so is the record itself.
    """
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        events.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def watched_replace(self: Path, target: Path) -> Path:
        events.append(f"rename {target}")
        return replace(self, target)

    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    write_shards(path, spec, [1])
    record = path / "ledger" / "000001.json"
    end = events.index(f"rename {record}")
    synced = set(events[:end])
    files = [f for f in path.glob("*/c/1/**/*") if f.is_file()]
    assert len(files) == 6
    for file in files:
        above = [f for f in file.parents if f.is_relative_to(path)]
        assert {str(f) for f in (file, *above)} <= synced
    assert any(e.endswith(".000001.json") and "rename" not in e for e in synced)
    assert str(record.parent) in events[end:]


def test_missing_and_short_files_of_a_shard_are_found(tmp_path: Path) -> None:
    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    write_shards(path, spec, [0])
    record = ledger.read(path, 0)
    assert record is not None
    assert missing_files(path, record, spec) == []
    (path / "mfcc_8/c/0/0/0/0").unlink()
    (path / "window_8_s/c/0/0/0").write_bytes(b"")
    assert missing_files(path, record, spec) == ["mfcc_8", "window_8_s"]


def test_shards_of_different_software_are_not_sealed(tmp_path: Path) -> None:
    path, spec = tmp_path / "s", make_spec()
    create(path, spec)
    write_shards(path, spec, [0, 1, 2])
    record = ledger.read(path, 1)
    assert record is not None
    ledger.write(path, replace(record, fingerprint="another mmder", host="node7"))
    with pytest.raises(
        errors.StoreIncompleteError,
        match=r"shards 0 and 1 were prepared by different versions .* Rerun the same",
    ):
        seal(path, manifest_rows(5), {})
    with pytest.raises(errors.StoreIncompleteError):
        Store(path)


def test_the_hash_of_a_store_depends_on_bytes_and_not_on_the_machine(
    tmp_path: Path,
) -> None:
    """Host and software are recorded; the checksums of all shards are in the hash."""
    spec = make_spec()
    hashes = []
    for name, value, host in (("a", 1, "n1"), ("b", 1, "n2"), ("c", 5, "n1")):
        path = tmp_path / name
        create(path, spec)
        write_shards(path, spec, [0, 1, 2])
        blocks = make_blocks(spec, 1, value)
        checksums = write_shard(path, 1, blocks)
        for shard in range(3):
            record = ledger.read(path, shard)
            assert record is not None
            changed = replace(record, fingerprint=host, host=host)
            if shard == 1:
                changed = replace(changed, checksums=checksums)
            ledger.write(path, changed)
        hashes.append(seal(path, manifest_rows(5), {}))
    assert hashes[0] == hashes[1] != hashes[2]
