"""Opening a folder that is not a readable store is an error of one line."""

import json
from pathlib import Path

import pytest

from mmder_store import Store, errors
from mmder_store.schema import FORMAT_VERSION
from mmder_store.zarr_group import is_store


def test_a_folder_that_is_not_a_store_is_reported(tmp_path: Path) -> None:
    """A missing folder, an empty one, invalid JSON and a foreign Zarr group."""
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


@pytest.mark.parametrize(("version", "advice"), [(99, "update"), (0, "again")])
def test_another_format_version_is_reported_with_both_versions(
    store: Path, version: int, advice: str
) -> None:
    """A newer store needs a newer mmder; an older store must be prepared again."""
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"]["mmder_format"] = version
    (store / "zarr.json").write_text(json.dumps(meta))
    assert is_store(store)
    with pytest.raises(
        errors.StoreVersionError,
        match=rf"format {version}.*format {FORMAT_VERSION}.*{advice}",
    ):
        Store(store)
