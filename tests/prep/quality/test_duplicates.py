"""Duplicates found by their source files."""

from pathlib import Path

from fake_store import make_store
from mmder_prep.quality.duplicates import find_duplicates


def test_turns_of_one_recording_can_start_at_once(tmp_path: Path) -> None:
    """Two speakers in two halves of the frame have separate audio files."""
    store = make_store(tmp_path / "s", clips=4)
    columns = store.columns
    columns["start_s"][:2] = 7.0
    columns["source_sha256"][:2] = "dialog"
    columns["sound_sha256"][:2] = ["one", "other"]
    assert find_duplicates(store) == ([], [])
    columns["sound_sha256"][:2] = ""
    (group,), _ = find_duplicates(store)
    assert (group.rows, group.match_kinds) == ((0, 1), ("file",))
