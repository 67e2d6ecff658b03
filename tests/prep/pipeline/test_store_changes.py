"""Clips of a store that a run would lose, add or prepare again."""

import os
from pathlib import Path

import pytest

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.content_hash import hash_clip
from mmder_prep.pipeline.store_changes import (
    changed_clips,
    compare_clips,
    name_some,
    recorded_clips,
    refuse_loss,
)
from mmder_store import PrepSettings, ledger
from mmder_store.errors import StoreError
from mmder_store.ledger import ClipRecord, ShardRecord

SETTINGS = PrepSettings()


def make_clip(folder: Path, name: str, stop_s: float | None = None) -> Clip:
    """Return a clip, and write its file if there is none."""
    file = folder / f"{name}.mp4"
    if not file.exists():
        file.write_text(name)
    return Clip(
        clip_id=name, source=Source(file), segment=Segment(start_s=None, stop_s=stop_s)
    )


def record(clip: Clip, status: str = "ok") -> ClipRecord:
    """Return the ledger record of a clip."""
    hashes = hash_clip(clip, None, SETTINGS)
    return ClipRecord(
        clip_id=clip.clip_id,
        key=hashes.key,
        status=status,
        source_sha256=hashes.sha256,
        sound_sha256=hashes.sound_sha256,
        source_stamp=hashes.stamp,
    )


def records(*clips: Clip) -> dict[str, ClipRecord]:
    return {clip.clip_id: record(clip) for clip in clips}


def test_clips_that_are_not_listed_are_refused(tmp_path: Path) -> None:
    """The message counts all of them and names three."""
    clips = [make_clip(tmp_path, name) for name in "abcdef"]
    changes = compare_clips(records(*clips), clips[:1])
    assert changes.unlisted == tuple("bcdef")
    expected = r"5 of its 6 clips are not in this run .*\(b, c, d and 2 more\)\. Choose"
    with pytest.raises(StoreError, match=expected):
        refuse_loss(tmp_path / "store", changes)


def test_failed_clips_may_be_omitted(tmp_path: Path) -> None:
    """They have no data. This is how a row is removed after a failure."""
    clips = [make_clip(tmp_path, name) for name in "ab"]
    stored = {"a": record(clips[0]), "b": record(clips[1], status="failed")}
    refuse_loss(tmp_path, compare_clips(stored, clips[:1]))


def test_clips_may_be_added(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path, name) for name in "abc"]
    changes = compare_clips(records(*clips[1:]), clips)
    assert (changes.recorded, changes.added) == (2, 1)
    refuse_loss(tmp_path, changes)
    assert compare_clips({}, clips).added == 3


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_clips_whose_file_is_gone_are_refused(tmp_path: Path, kind: str) -> None:
    clips = [make_clip(tmp_path, name) for name in "abc"]
    (tmp_path / "b.wav").write_text("audio")
    clips[1] = Clip(
        clip_id="b",
        source=clips[1].source,
        audio=Source(tmp_path / "b.wav"),
        segment=clips[1].segment,
    )
    stored = records(*clips)
    (tmp_path / f"b.{'mp4' if kind == 'video' else 'wav'}").unlink()
    changes = compare_clips(stored, clips)
    assert changes.without_media == ("b",)
    with pytest.raises(StoreError, match=r"of 1 of its 3 clips are gone \(b\)\. Put"):
        refuse_loss(tmp_path, changes)


def test_some_changed_files_are_accepted_and_all_are_refused(tmp_path: Path) -> None:
    """The clips of another project can have the same names."""
    clips = [make_clip(tmp_path, name) for name in "abc"]
    stored = records(*clips)
    for changed in range(1, 4):
        (tmp_path / f"{'abc'[changed - 1]}.mp4").write_text(f"other {changed}")
        changes = compare_clips(stored, clips)
        assert bool(changes.other_media) == (changed == 3)
    with pytest.raises(StoreError, match=r"clips have other media files .*\(a, b, c\)"):
        refuse_loss(tmp_path, changes)


def test_copied_files_are_the_same_files(tmp_path: Path) -> None:
    """Another modification time alone changes nothing."""
    clips = [make_clip(tmp_path, name) for name in "abc"]
    stored = records(*clips)
    for clip in clips:
        os.utime(clip.source.path, (1, 1))
    assert compare_clips(stored, clips).other_media == ()


def test_changed_segments_are_found(tmp_path: Path) -> None:
    before = records(*(make_clip(tmp_path, name) for name in "abc"))
    later = [make_clip(tmp_path, name, 2.0 if name == "b" else None) for name in "abcd"]
    assert compare_clips(before, later).other_media == ()
    assert list(changed_clips(before, records(*later))) == ["b"]


def test_valid_ledger_records_are_read(tmp_path: Path) -> None:
    """Damaged records and other files are skipped."""
    assert recorded_clips(tmp_path) == {}
    (tmp_path / ledger.FOLDER).mkdir()
    clips = [make_clip(tmp_path, name) for name in "abc"]
    for shard, clip in enumerate(clips):
        ledger.write(
            tmp_path, ShardRecord(shard=shard, clips=(record(clip),), checksums={})
        )
    (tmp_path / ledger.FOLDER / "000001.json").write_text("{")
    (tmp_path / ledger.FOLDER / "notes.json").write_text("{}")
    assert recorded_clips(tmp_path) == {c.clip_id: record(c) for c in clips[::2]}


def test_names_are_cut() -> None:
    assert name_some(["a", "b", "c"]) == "a, b, c"
    assert name_some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
