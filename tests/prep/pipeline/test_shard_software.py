"""Shards of another device or of other software are found before a store is mixed."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mmder_prep.pipeline.fingerprint import compute_fingerprint, fingerprint_digest
from mmder_prep.pipeline.shard_software import drop_other_software, refuse_other_device
from mmder_store import ledger
from mmder_store.errors import StoreError
from mmder_store.ledger import ShardRecord


def record(shard: int, fingerprint: str) -> ShardRecord:
    return ShardRecord(shard=shard, clips=(), checksums={}, fingerprint=fingerprint)


@pytest.mark.parametrize(("made", "now"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_store_is_not_continued_on_another_kind_of_device(
    tmp_path: Path, made: str, now: str
) -> None:
    digest = fingerprint_digest(compute_fingerprint(made))
    records = {0: record(0, digest), 1: record(1, digest), 2: None}
    refuse_other_device(tmp_path, records, made)
    with pytest.raises(StoreError) as refused:
        refuse_other_device(tmp_path, records, now)
    text = str(refused.value)
    assert "\n" not in text
    assert f"faces of 2 of 3 shards were detected with --device {made}" in text
    assert f"this run uses {now}" in text
    assert f"Use --device {made}, another --out, or --overwrite" in text


def test_shards_of_other_software_are_dropped(tmp_path: Path) -> None:
    """Those of this software are kept, and an unfinished one has no record."""
    own = compute_fingerprint("cuda")
    records = {0: record(0, fingerprint_digest(own)), 1: record(1, "0.1"), 2: None}
    for found in records.values():
        if found is not None:
            ledger.write(tmp_path, found)
    console = Console(record=True, file=StringIO(), width=200)
    refuse_other_device(tmp_path, records, "cuda")
    drop_other_software(tmp_path, records, own, console)
    assert [ledger.exists(tmp_path, shard) for shard in records] == [True, False, False]
    assert "1 of 3 shards were prepared by another version" in console.export_text()
