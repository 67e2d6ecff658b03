"""The ledger has one writer at a time, and reports damaged records."""

from pathlib import Path

import pytest

from mmder_store import errors, ledger


def test_two_writers_never_hold_the_same_store(tmp_path: Path) -> None:
    """The second writer fails until the first has released the lock."""
    with (
        ledger.write_lock(tmp_path),
        pytest.raises(errors.StoreError, match="another mmder-prep"),
        ledger.write_lock(tmp_path),
    ):
        pass
    with ledger.write_lock(tmp_path):
        pass


def test_an_invalid_ledger_file_is_reported_with_the_way_out(store: Path) -> None:
    """The error names the file; deleting it costs one shard of work."""
    (store / "ledger" / "000001.json").write_text("{}")
    with pytest.raises(errors.StoreError, match=r"000001\.json.*Delete"):
        ledger.read(store, 1)


def test_a_record_has_a_status_of_the_schema() -> None:
    with pytest.raises(errors.StoreError, match="status 'good', expected one of"):
        ledger.ClipRecord(clip_id="c", key="k", status="good")
