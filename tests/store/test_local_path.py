"""Addresses of object stores are told from paths."""

from pathlib import Path

import pytest

from mmder_store import open_store
from mmder_store.errors import SettingsError
from mmder_store.local_path import is_address


@pytest.mark.parametrize(
    "path",
    [
        "s3://bucket/store",
        "gs://bucket",
        "https://host/clip.mp4",
        "file:///data/store",
        Path("s3://bucket/store"),  # its text is s3:/bucket/store
    ],
)
def test_addresses_are_refused(path: str | Path) -> None:
    assert is_address(path)
    with pytest.raises(SettingsError, match="Object stores and URLs are not supported"):
        open_store(path)


@pytest.mark.parametrize(
    "path", ["store", "/data/a:b/c", "C:/data/store", "./s3:/x", "a:b", "x//y", ""]
)
def test_paths_are_accepted(path: str) -> None:
    assert not is_address(path)


def test_a_folder_with_the_name_of_a_scheme_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3:" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_address(Path("s3:/x"))
