"""A window of a recording equals a clip with its start and stop."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmder_prep.media import decoder
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.media.window_plan import plan_windows
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.pipeline.prepare_windows import prepare_windows
from mmder_store.settings import PrepSettings
from synth import Synth, write

SETTINGS = PrepSettings(face_crop=False)
SPREAD = PrepSettings(face_crop=False, step_frames=None)
NTSC = Fraction(30000, 1001)
RECORDINGS: dict[str, tuple[Synth, PrepSettings]] = {
    "mp4 aac": (Synth(duration_s=10.6, size_px=(96, 64)), SETTINGS),
    "mkv flac late": (
        Synth(
            suffix="mkv",
            audio="flac",
            fps=NTSC,
            duration_s=10.6,
            video_start_s=0.25,
            audio_start_s=0.1,
            size_px=(96, 64),
        ),
        SETTINGS,
    ),
    "avi mpeg4 pcm": (
        Synth(
            suffix="avi",
            video="mpeg4",
            audio="pcm_s16le",
            fps=NTSC,
            duration_s=10.6,
            size_px=(96, 64),
        ),
        SETTINGS,
    ),
    "webm opus spread": (
        Synth(
            suffix="webm",
            video="libvpx",
            audio="libopus",
            rate_hz=48_000,
            duration_s=10.6,
            size_px=(96, 64),
        ),
        SPREAD,
    ),
}


@pytest.mark.parametrize(
    ("name", "seek"),
    [
        *((name, False) for name in RECORDINGS),
        ("mkv flac late", True),
        ("avi mpeg4 pcm", True),
    ],
)
def test_a_window_equals_a_clip(
    tmp_path: Path, name: str, seek: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames and spectrograms are equal bit for bit.

    Clips that start late are reached by seeking, and windows are not. After a seek, the
    decoders of AAC and Opus return other noise, so those are not compared.
    """
    if not seek:
        monkeypatch.setattr(decoder, "SEEK_FROM_S", math.inf)
    spec, settings = RECORDINGS[name]
    source = Source(path=write(tmp_path / "talk", spec))
    length_s = 4.0 if settings.step_frames is None else None
    plan = plan_windows(settings, every_s=2.5, length_s=length_s)
    recording = Clip(clip_id="talk", source=source)
    windows = list(prepare_windows(recording, settings, plan, device="cpu"))
    # The late one ends at 10.85 s, after the fourth window.
    assert len(windows) == (5 if name == "mkv flac late" else 4)
    for window in windows:
        stop_s = window.start_s + plan.length_s
        segment = Segment(start_s=window.start_s, stop_s=stop_s)
        clip = Clip(clip_id="clip", source=source, segment=segment)
        expected = prepare_clip(clip, settings, device="cpu")
        assert window.row.status == expected.status == "ok"
        assert window.row.arrays.keys() == expected.arrays.keys()
        for array, values in expected.arrays.items():
            actual: Any = window.row.arrays[array]
            np.testing.assert_array_equal(actual, values, err_msg=array)
    assert not any("ends after" in w.row.reason for w in windows[:-1])
    assert "the recording ends after" in windows[-1].row.reason
