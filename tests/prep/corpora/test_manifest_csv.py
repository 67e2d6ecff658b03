"""Errors of manifest files name the line, the value, and the expected values."""

from pathlib import Path

import pytest

from mmder_prep.corpora.manifest_file import read_manifest
from mmder_store.errors import ManifestError

HEAD = "clip_id,path,emotion,speaker"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    file = folder / "m.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("a,a.mp4,joyful,x", r"line 2: emotion 'joyful' is unknown.*expected one of"),
        ("a,a.mp4,hapy,x", "did you mean 'happy'"),
        (",a.mp4,happy,x", "line 2: clip_id ''"),
        ("a,,happy,x", "line 2: path ''"),
        ("a,a.mp4,happy,", "line 2: speaker ''"),
        ("a,a.mp4,happy", "line 2: expected 4 values"),
        ("a,a.mp4,happy,x,y", "line 2: expected 4 values"),
        ('a,"a.mp4,happy,x', "not CSV"),
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, line: str, match: str) -> None:
    with pytest.raises(ManifestError, match=match):
        read_manifest(write(tmp_path, line), root=None)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("-1,,,", "start_s '-1'"),
        ("nan,,,", "start_s 'nan'"),
        ("1e99,,,", "start_s"),
        ("3,2,,", "stop_s 2.0 is not after start_s 3.0"),
        (",,middle,", "crop 'middle': expected left, right"),
        (",,1 2 3,", "crop '1 2 3'"),
        (",,,0", "fold '0'"),
        (",,,x", "fold 'x'"),
    ],
)
def test_an_invalid_optional_value_is_named(
    tmp_path: Path, value: str, match: str
) -> None:
    file = write(
        tmp_path, f"a,a.mp4,sad,x,{value}", head=HEAD + ",start_s,stop_s,crop,fold"
    )
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_missing_and_unknown_columns_are_listed(tmp_path: Path) -> None:
    """A misspelled column is never silently ignored."""
    file = write(tmp_path, "a,b", head="clip_id,file")
    match = "missing 'path', 'emotion', 'speaker'; unknown 'file'"
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_missing_empty_and_binary_files_raise(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        read_manifest(tmp_path / "none.csv", root=None)
    with pytest.raises(ManifestError, match="has no clips"):
        read_manifest(write(tmp_path), root=None)
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_manifest(tmp_path / "x.csv", root=None)
