"""A clip has a new key if and only if its content or its settings change."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.content_hash import file_stamp, hash_clip
from mmder_store import PrepSettings
from mmder_store.ledger import ClipRecord

SETTINGS = PrepSettings()
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of the bytes ``abc`` (FIPS 180-2, appendix B.1)."""


def make_clip(folder: Path, **fields: object) -> Clip:
    (folder / "x.mp4").write_bytes(b"abc")
    clip = Clip(clip_id="x", source=Source(folder / "x.mp4"))
    return replace(clip, **fields)  # type: ignore[arg-type]


def test_the_key_depends_on_bytes_segment_crop_and_settings(tmp_path: Path) -> None:
    clip = make_clip(tmp_path)
    first = hash_clip(clip, None, SETTINGS)
    assert (first.sha256, first.sound_sha256, first.problem) == (ABC_SHA256, "", "")
    assert hash_clip(replace(clip, clip_id="y"), None, SETTINGS) == first
    keys = {
        first.key,
        hash_clip(replace(clip, segment=Segment(stop_s=1.0)), None, SETTINGS).key,
        hash_clip(replace(clip, crop="left"), None, SETTINGS).key,
        hash_clip(replace(clip, audio=clip.source), None, SETTINGS).key,
        hash_clip(clip, None, PrepSettings(mfccs=13)).key,
    }
    (tmp_path / "x.mp4").write_bytes(b"abd")
    keys.add(hash_clip(clip, None, SETTINGS).key)
    assert len(keys) == 6


def test_a_file_with_the_recorded_stamp_is_not_hashed_again(tmp_path: Path) -> None:
    """The recorded hash is used, until the modification time changes."""
    clip = make_clip(tmp_path)
    known = ClipRecord(
        clip_id="x",
        key="",
        status="ok",
        source_sha256="recorded",
        source_stamp=file_stamp(clip),
    )
    assert hash_clip(clip, known, SETTINGS).sha256 == "recorded"
    os.utime(tmp_path / "x.mp4", ns=(1, 1))
    assert hash_clip(clip, known, SETTINGS).sha256 == ABC_SHA256


def test_a_missing_file_is_a_problem_of_the_clip(tmp_path: Path) -> None:
    """A missing audio file is no problem: the clip then lacks audio."""
    clip = make_clip(tmp_path)
    missing = Source(tmp_path / "none.wav")
    silent = hash_clip(replace(clip, audio=missing), None, SETTINGS)
    assert (silent.sha256, silent.sound_sha256, silent.problem) == (ABC_SHA256, "", "")
    failed = hash_clip(replace(clip, source=missing), None, SETTINGS)
    assert "cannot be read" in failed.problem
    assert (failed.sha256, failed.stamp) == ("", "")


def test_a_read_error_fails_the_clip_and_is_tried_again(tmp_path: Path) -> None:
    """Reading /proc/self/mem at 0 is an EIO of the kernel, as from a broken disk.

    The clip has no stamp then, so that the next run hashes its files again.
    """
    broken = Source(Path("/proc/self/mem"))
    if not broken.path.exists():
        pytest.skip("only on Linux")
    hashed = hash_clip(Clip(clip_id="x", source=broken), None, SETTINGS)
    assert hashed.problem == "cannot be read (Input/output error)"
    assert hashed.stamp == ""
    with_audio = hash_clip(make_clip(tmp_path, audio=broken), None, SETTINGS)
    assert (with_audio.problem, with_audio.sound_sha256) == ("", "")
    assert with_audio.stamp == ""
