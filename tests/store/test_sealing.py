"""A seal that is killed at any step is resumed to the same bytes."""

import json
from pathlib import Path

import pytest
import xarray

from killed_steps import KilledError, Steps
from killing import contents
from mmder_store import Store, errors
from mmder_store.writer import create, seal
from shard_writing import make_spec, manifest_rows, write_shards


def sealed_store(path: Path) -> Path:
    create(path, make_spec())
    write_shards(path, make_spec(), [0, 1, 2])
    seal(path, manifest_rows(5), {"mmder": "0"})
    return path


def test_a_seal_that_is_killed_at_any_step_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every renaming of a file is a step. The resumed bytes are equal."""
    expected = contents(sealed_store(tmp_path / "whole"))
    steps = Steps(monkeypatch)
    path = tmp_path / "killed"
    create(path, make_spec())
    write_shards(path, make_spec(), [0, 1, 2])
    steps.limit()
    seal(path, manifest_rows(5), {"mmder": "0"})
    assert contents(path) == expected
    count = steps.count
    for last in (*range(0, count, 11), *range(count - 4, count)):
        steps.limit()
        create(path, make_spec())
        steps.limit(last)
        with pytest.raises(KilledError):
            seal(path, manifest_rows(5), {"mmder": "0"})
        steps.limit()
        if json.loads((path / "zarr.json").read_text())["attributes"]["sealed"]:
            assert contents(path) == expected
        else:
            with pytest.raises(errors.StoreIncompleteError, match="not sealed"):
                Store(path)
        create(path, make_spec())
        seal(path, manifest_rows(5), {"mmder": "0"})
        assert contents(path) == expected, last


def test_xarray_opens_the_store_with_consolidated_metadata(tmp_path: Path) -> None:
    path = sealed_store(tmp_path / "s")
    with xarray.open_zarr(path, consolidated=True) as opened:
        assert opened["mfcc_16"].shape == (5, 16, 40, 41)
        assert opened["crc32c"].shape == (5, 6)
        assert list(opened["clip_id"].values) == [f"c{i}" for i in range(5)]
