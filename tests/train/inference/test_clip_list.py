"""Clips are found in files, folders and lists, and have unique ids."""

from pathlib import Path

import pytest

from mmder_prep.corpora.manifest_file import read_list
from mmder_store.errors import ManifestError, SettingsError
from mmder_train.inference.clip_list import find_clips


def test_clip_ids(tmp_path: Path) -> None:
    """The id is the file name, or the path in the folder.

    The suffix is part of the id only if another file has the same name.
    """
    for name in ("a/one.mp4", "a/one.wav", "b/one.mp4", ".hidden.mp4", "b/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_clips([tmp_path], root=None)
    assert [c.clip_id for c in found.clips] == ["a/one.mp4", "a/one.wav", "b/one"]
    assert found.warnings[0].endswith("1 files without a media suffix, first b/x.txt")
    (tmp_path / "list.csv").write_text("path,start_s\na/one.mp4,0.5\nb/one.mp4,\n")
    clips = find_clips([tmp_path / "list.csv"]).clips
    assert [c.clip_id for c in clips] == ["a/one", "b/one"]
    assert [c.segment.start_s for c in clips] == [0.5, None]
    (clip,) = find_clips([tmp_path / "b" / "one.mp4"]).clips
    assert (clip.clip_id, clip.source.path.name) == ("one", "one.mp4")
    with pytest.raises(SettingsError, match="'one': 2 clips have this id"):
        find_clips([tmp_path / "a" / "one.mp4", tmp_path / "b" / "one.mp4"])


def test_paths_may_be_strings(tmp_path: Path) -> None:
    """A single path, a string and a list of them mean the same."""
    (tmp_path / "one.mp4").write_text("x")
    (tmp_path / "list.csv").write_text("path\none.mp4\n")
    path = tmp_path / "one.mp4"
    expected = find_clips([path])
    assert find_clips(path) == find_clips(str(path)) == expected
    assert find_clips([str(path)]) == expected
    assert find_clips(tmp_path / "list.csv", root=str(tmp_path)) == find_clips(
        str(tmp_path / "list.csv"), root=tmp_path
    )


def test_paths_in_a_list_must_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\n../secret.mp4\n")
    with pytest.raises(ManifestError, match="leads out of"):
        read_list(tmp_path / "list.csv", root=None).clips()
