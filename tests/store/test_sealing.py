"""A seal that is killed at any step is resumed to the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
import xarray
import zarr

from mmder_store import Store, errors
from mmder_store.writer import create, seal
from shard_writing import make_spec, manifest_rows, write_shards


class KilledError(BaseException):
    """Stands for the end of the process."""


def contents(store: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(store)): p.read_bytes()
        for p in store.rglob("*")
        if p.is_file()
    }


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
    left, steps = 10**9, 0

    def step() -> None:
        nonlocal steps
        if steps >= left:
            raise KilledError
        steps += 1

    def watch(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            step()
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)

    watch(Path, "replace")
    watch(zarr, "consolidate_metadata")
    path = tmp_path / "killed"
    create(path, make_spec())
    write_shards(path, make_spec(), [0, 1, 2])
    steps = 0
    seal(path, manifest_rows(5), {"mmder": "0"})
    assert contents(path) == expected
    for last in (*range(0, steps, 11), *range(steps - 4, steps)):
        left = 10**9
        create(path, make_spec())
        steps, left = 0, last
        with pytest.raises(KilledError):
            seal(path, manifest_rows(5), {"mmder": "0"})
        left = 10**9
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
