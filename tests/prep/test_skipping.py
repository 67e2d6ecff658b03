"""Pictures that are left out change nothing of those that are taken."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mmder_prep.media import frame_skipping
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import DecodedClip, read_clip
from mmder_prep.media.frame_skipping import FrameSkipper
from mmder_prep.media.source import Source
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


def told(file: Path, part: Segment | None = None) -> DecodedClip:
    clip = Clip(clip_id="c", source=Source(file))
    return read_clip(replace(clip, segment=part) if part else clip, SETTINGS)


def assert_same(found: DecodedClip, expected: DecodedClip) -> None:
    np.testing.assert_array_equal(found.times_s, expected.times_s)
    np.testing.assert_array_equal(found.audio, expected.audio)
    np.testing.assert_equal(found.facts, expected.facts)
    assert len(found.frames) == len(expected.frames) == 16
    for one, other in zip(found.frames, expected.frames, strict=True):
        np.testing.assert_array_equal(one.rgb(), other.rgb())


@pytest.mark.parametrize("name", CLIPS)
def test_the_same_is_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", CLIPS[name])
    left_out = told(file)
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    assert_same(left_out, told(file))


def test_the_same_is_taken_of_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", Synth(duration_s=14, gop=48))
    parts = [Segment(start_s=9.3, stop_s=12.1), Segment(start_s=0.4, stop_s=2.0)]
    left_out = [told(file, part) for part in parts]
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    for found, part in zip(left_out, parts, strict=True):
        assert_same(found, told(file, part))


def test_pictures_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 76 up to the last one taken, a third is B-frames that nobody needs."""
    skippers: list[FrameSkipper] = []
    first = FrameSkipper.__init__

    def made(self: FrameSkipper, *words: object, **more: object) -> None:
        first(self, *words, **more)  # type: ignore[arg-type]
        skippers.append(self)

    seen: list[float] = []
    see = FrameSkipper.skipped_before

    def left_out(self: FrameSkipper, before_s: float) -> list[float]:
        found = see(self, before_s)
        seen.extend(found)
        return found

    monkeypatch.setattr(FrameSkipper, "__init__", made)
    monkeypatch.setattr(FrameSkipper, "left_out", left_out)
    told(write(tmp_path / "clip", Synth(gop=60, duration_s=4)))
    assert [s.used for s in skippers] == [True]
    assert 20 < len(seen) < 60


def test_a_file_that_is_not_as_it_says_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "clip", Synth())
    with monkeypatch.context() as patched:
        patched.setattr(FrameSkipper, "_is_needless", lambda *_: True)
        found = told(file)
    monkeypatch.setattr(frame_skipping, "CODECS", frozenset())
    assert_same(found, told(file))
