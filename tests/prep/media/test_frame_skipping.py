"""Skipping frames does not change the frames that are picked."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mmder_prep.media import frame_skipping
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.frame_skipping import FrameSkipper
from mmder_prep.media.source import Source
from mmder_prep.media.types import DecodedClip
from mmder_store.settings import PrepSettings
from synth import Synth, write

SETTINGS = PrepSettings()
UNEVEN = tuple(np.cumsum([0.0, *([0.02, 0.05, 0.09, 0.03] * 25)]).round(3))
CLIPS = {
    "25": Synth(),
    "29.97": Synth(fps=Fraction(30_000, 1001), gop=60, duration_s=4.0),
    "60": Synth(fps=Fraction(60), gop=90),
    "uneven": Synth(stamps_s=UNEVEN, suffix="mkv"),
    "late": Synth(video_start_s=0.7, suffix="mkv"),
    "short": Synth(duration_s=1.1),
    "no stamps": Synth(suffix="avi", audio="pcm_s16le"),
    "stream": Synth(suffix="ts", audio="mp2"),
}


def decode(file: Path, segment: Segment | None = None) -> DecodedClip:
    clip = Clip(clip_id="c", source=Source(file))
    return read_clip(replace(clip, segment=segment) if segment else clip, SETTINGS)


def assert_same(decoded: DecodedClip, expected: DecodedClip) -> None:
    np.testing.assert_array_equal(decoded.times_s, expected.times_s)
    np.testing.assert_array_equal(decoded.audio, expected.audio)
    np.testing.assert_equal(decoded.facts, expected.facts)
    assert len(decoded.frames) == len(expected.frames) == 16
    for one, other in zip(decoded.frames, expected.frames, strict=True):
        np.testing.assert_array_equal(one.rgb(), other.rgb())


@pytest.mark.parametrize("name", CLIPS)
def test_skipping_does_not_change_the_clip(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", CLIPS[name])
    decoded = decode(file)
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    assert_same(decoded, decode(file))


def test_skipping_does_not_change_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", Synth(duration_s=14, gop=48))
    segments = [Segment(start_s=9.3, stop_s=12.1), Segment(start_s=0.4, stop_s=2.0)]
    decoded_clips = [decode(file, segment) for segment in segments]
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    for decoded, segment in zip(decoded_clips, segments, strict=True):
        assert_same(decoded, decode(file, segment))


def test_a_third_of_the_frames_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """76 frames precede the last one picked; a third are B-frames that are unused."""
    skippers: list[FrameSkipper] = []
    create = FrameSkipper.__init__

    def record_skipper(self: FrameSkipper, *args: object, **kwargs: object) -> None:
        create(self, *args, **kwargs)  # type: ignore[arg-type]
        skippers.append(self)

    skipped: list[float] = []
    skipped_before = FrameSkipper.skipped_before

    def record_times(self: FrameSkipper, before_s: float) -> list[float]:
        times_s = skipped_before(self, before_s)
        skipped.extend(times_s)
        return times_s

    monkeypatch.setattr(FrameSkipper, "__init__", record_skipper)
    monkeypatch.setattr(FrameSkipper, "skipped_before", record_times)
    decode(write(tmp_path / "clip", Synth(gop=60, duration_s=4)))
    assert [s.used for s in skippers] == [True]
    assert 20 < len(skipped) < 60


def test_file_whose_skipped_frames_are_needed_is_read_without_skipping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", Synth())
    with monkeypatch.context() as patched:
        patched.setattr(FrameSkipper, "_is_skippable", lambda *_: True)
        decoded = decode(file)
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    assert_same(decoded, decode(file))
