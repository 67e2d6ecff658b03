"""Manifests: valid files, unique clips, consistent folds, and existing media."""

from pathlib import Path

import pytest

from mmder_prep.corpora.manifest import read_manifest
from mmder_store.errors import ManifestError

HEAD = "clip_id,path,emotion,speaker"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    file = folder / "m.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def test_rows_are_read_in_order(tmp_path: Path) -> None:
    """Upper case, spaces around values, a byte order mark and CRLF are accepted."""
    file = tmp_path / "m.csv"
    lines = [
        f"{HEAD},start_s,stop_s,crop,fold",
        "b, b.mp4 ,Happy,anna,1.5,4,LEFT,2",
        "a,a.mp4,,ben,,,1  2 30 40,1",
    ]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    manifest = read_manifest(file, root=None)
    assert [r.clip_id for r in manifest.rows] == ["b", "a"]
    first, second = manifest.rows
    assert (first.emotion, first.path, first.start_s, first.crop) == (
        "happy",
        "b.mp4",
        1.5,
        "left",
    )
    assert (second.emotion, second.stop_s, second.crop) == ("", None, "1 2 30 40")
    assert manifest.protocols[0].fold_of == {"anna": 2, "ben": 1}
    assert manifest.label_sets[0].classes == ("happy",)


def test_a_clip_id_must_be_unique(tmp_path: Path) -> None:
    """Both lines are named."""
    file = write(tmp_path, "a,a.mp4,sad,x", "b,b.mp4,sad,x", "a,c.mp4,sad,x")
    with pytest.raises(ManifestError, match="line 4: clip_id 'a' is already on line 2"):
        read_manifest(file, root=None)


def test_a_speaker_must_have_one_fold(tmp_path: Path) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x,1", "b,b.mp4,sad,x,2", head=HEAD + ",fold")
    match = "line 3: speaker 'x' has fold 2, on an earlier line fold 1"
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_a_path_must_not_lead_out_of_the_root(tmp_path: Path) -> None:
    file = write(tmp_path, "a,../../etc/passwd,sad,x")
    with pytest.raises(ManifestError, match=r"leads out of.*--root"):
        read_manifest(file, root=None).clips()


def test_a_manifest_without_existing_files_raises_immediately(tmp_path: Path) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x")
    with pytest.raises(ManifestError, match=r"none of 1 files exists.*--root"):
        read_manifest(file, root=None).clips()


def test_the_example_manifest_is_valid() -> None:
    """The documentation refers users to this file."""
    root = Path(__file__).parents[3] / "data_manifests"
    manifest = read_manifest(root / "example.csv", root=None)
    assert len(manifest.rows) == 4
    assert set(manifest.protocols[0].fold_of.values()) == {1, 2}
