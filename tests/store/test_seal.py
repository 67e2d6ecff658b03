"""The seal covers everything that a reader uses: no edit of a store is silent."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zarr

from fake_store import make_store
from mmder_store import Store, errors, ledger
from mmder_store.seal import hash_ledger
from mmder_store.verify import verify_store


def column(name: str, value: object) -> Callable[[Path], None]:
    """Return an edit that changes one value of a column."""

    def edit(store: Path) -> None:
        group: Any = zarr.open_group(store, mode="r+", use_consolidated=False)
        group[name][3] = value

    return edit


def attribute(*keys: str, value: object) -> Callable[[Path], None]:
    """Return an edit that changes one attribute of the group."""

    def edit(store: Path) -> None:
        content = json.loads((store / "zarr.json").read_text())
        node = content["attributes"]
        for key in keys[:-1]:
            node = node[key]
        assert node[keys[-1]] != value
        node[keys[-1]] = value
        (store / "zarr.json").write_text(json.dumps(content, indent=2))

    return edit


def text(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit that replaces a text in a file."""

    def edit(store: Path) -> None:
        content = (store / file).read_text()
        assert old in content
        (store / file).write_text(content.replace(old, new, 1))

    return edit


def delete(file: str) -> Callable[[Path], None]:
    return lambda store: (store / file).unlink()


EDITS = {
    "emotion": column("emotion", "angry"),
    "speaker": column("speaker", "24"),
    "status": column("status", "failed"),
    "note": column("note", "x"),
    "rate": column("sound_rate_hz", 8000),
    "classes": attribute("label_sets", "ravdess-7", "classes", value=["sad"]),
    "class of": attribute("label_sets", "ravdess-7", "class_of", "calm", value="sad"),
    "fold": attribute("protocols", "ravdess-contiguous-6", "fold_of", "01", value=6),
    "corpus": attribute("corpus", value="x"),
    "clips": attribute("clips", value="20"),
    "settings": attribute("settings", "mfccs", value=None),
    "hash": attribute("sealed", "sha256", value="0" * 64),
    "versions": attribute("sealed", "versions", "mmder", value="1"),
    "seal": attribute("sealed", value=True),
    "spectrum": text("mfcc_16/zarr.json", "float16", "bfloat16"),
    "dtype": text("mfcc_16/zarr.json", '"float16"', '"int16"'),
    "unit": text("mfcc_16/zarr.json", '"dB"', '"Bel"'),
    "metadata": text("speaker/zarr.json", "{", "["),
    "no metadata": delete("speaker/zarr.json"),
    "no chunk": delete("emotion/c/0"),
    "no checksums": delete("crc32c/c/0/0"),
    "facts": text("ledger/000001.json", '"facts": {}', '"facts": {"clamped": 1}'),
    "key": text("ledger/000001.json", '"key": "9"', '"key": "8"'),
    "record": text("ledger/000001.json", "{", "["),
    "no record": delete("ledger/000001.json"),
    "consolidated": text("zarr.json", '"units": "dB"', '"units": "Bel"'),
}


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_is_silent(store: Path, edit: str) -> None:
    """Opening the store fails with one line, or verification finds a problem."""
    assert list(verify_store(Store(store))) == []
    EDITS[edit](store)
    try:
        problems = [str(p) for p in verify_store(Store(store))]
    except errors.StoreError as error:
        problems = [" ".join(str(error).split())]
        assert str(store) in problems[0]
        assert "mmder-prep" in problems[0]
    assert len(problems) == 1


def test_an_edited_record_with_a_valid_checksum_is_found(store: Path) -> None:
    """The seal has a hash of all records."""
    record = ledger.read(store, 1)
    assert record is not None
    first, *others = record.clips
    for changed in (
        replace(first, key="x"),
        replace(first, reason="x"),
        replace(first, facts={"clamped": 2}),
    ):
        ledger.write(
            store,
            ledger.ShardRecord(
                shard=1, clips=(changed, *others), checksums=record.checksums
            ),
        )
        (problem,) = verify_store(Store(store))
        assert "ledger" in problem.text


def test_stores_with_other_bytes_have_another_hash(tmp_path: Path) -> None:
    """Two workers with other versions may compute other bytes from the same media."""
    one, two, same = (
        make_store(tmp_path / str(i), clips=4, modality="audio", seed=seed)
        for i, seed in enumerate((0, 1, 0))
    )
    assert one.sha256 == same.sha256 != two.sha256


def test_the_hash_depends_neither_on_times_nor_on_versions(store: Path) -> None:
    """The same corpus in another place, prepared on another day, is the same store."""
    records = [r for r in ledger.read_all(store, 3) if r is not None]
    before = hash_ledger(records)
    first, *others = records[0].clips
    moved = ledger.ClipRecord(
        clip_id=first.clip_id, key=first.key, status="ok", source_stamp="7 bytes"
    )
    checksums = {
        name: ledger.BlockChecksums(sha256=c.sha256, crc32c=c.crc32c, file_bytes=1)
        for name, c in records[0].checksums.items()
    }
    records[0] = ledger.ShardRecord(
        shard=0, clips=(moved, *others), checksums=checksums
    )
    assert hash_ledger(records) == before


def test_a_store_that_was_prepared_again_is_not_mixed(
    store: Path, tmp_path: Path
) -> None:
    """A worker process that opens the store later must find the same store."""
    opened = Store(store)
    reopen, arguments = opened.__reduce__()
    assert reopen(*arguments).sha256 == opened.sha256
    shutil.rmtree(store)
    make_store(store, clips=20, modality="audio", seed=1)
    with pytest.raises(errors.StoreError, match="prepared again while it was read"):
        reopen(*arguments)
    with pytest.raises(errors.StoreError, match=r"mfcc_16\[2\].*checksum"):
        opened.read("mfcc_16", 2)
