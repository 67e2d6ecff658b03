"""Content of the picture of a recording, and the picture itself."""

import math
from pathlib import Path

import numpy as np
import pytest

from mmder_train.inference.predictor import Prediction
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.timeline import Timeline
from mmder_train.inference.timeline_plot import draw_timeline

CLASSES = ("happy", "sad")


def make_window(start_s: float, status: str = "ok") -> Prediction:
    """Return a window whose spectra, and the gray of whose frames, show the time."""
    times_s = start_s + 0.2 * np.arange(16)
    stft = np.zeros((16, 257, 41))
    for values, time_s in zip(stft, times_s, strict=True):
        values[:] = time_s + np.linspace(-0.2, 0.2, 41)
    clip = PreparedClip(
        clip_id="talk",
        status=status,
        reason="",
        arrays={
            "frames": np.full((16, 224, 224, 3), int(start_s), dtype=np.uint8),
            "frame_time_s": times_s,
            "stft_16": stft.astype(np.float16),
            "window_16_s": np.stack([times_s - 0.2, times_s + 0.2], axis=1),
        },
        missing=() if status == "ok" else ("audio",),
        window_s=(start_s, start_s + 3.2),
    )
    probabilities = {"happy": 0.25, "sad": 0.75} if status == "ok" else None
    return Prediction(clip=clip, probabilities=probabilities)


def test_overlapping_windows_are_drawn_once() -> None:
    timeline = Timeline(clip_id="talk", classes=CLASSES)
    for start_s in (0.0, 1.0, 2.0):
        timeline.add(make_window(start_s))
    starts_s = [start_s for start_s, _ in timeline.spectra]
    # From the second frame of the first window to the last of the third.
    np.testing.assert_allclose(starts_s, 0.1 + 0.2 * np.arange(25))
    for start_s, spectrum in timeline.spectra:
        # The mean over the step from its start is the time of its middle.
        np.testing.assert_allclose(spectrum, start_s + 0.1, atol=2e-3)
    assert [time_s for time_s, _ in timeline.thumbs] == [0.0, 1.0, 2.0]
    assert [int(thumb.max()) for _, thumb in timeline.thumbs] == [0, 1, 2]
    assert timeline.probabilities == [[0.25, 0.75]] * 3


def test_a_window_without_a_prediction_is_marked() -> None:
    timeline = Timeline(clip_id="talk", classes=CLASSES)
    timeline.add(make_window(0.0))
    timeline.add(make_window(1.0, status="no_audio"))
    assert timeline.notes == ["", "no_audio"]
    assert all(map(math.isnan, timeline.probabilities[1]))
    assert len(timeline.spectra) == 15


@pytest.mark.parametrize("windows", [0, 1, 3])
def test_any_number_of_windows_is_drawn(tmp_path: Path, windows: int) -> None:
    """A recording that cannot be decoded has one window without an end."""
    timeline = Timeline(clip_id="talk/$1", classes=CLASSES)
    for number in range(windows):
        timeline.add(make_window(float(number), "no_audio" if number == 1 else "ok"))
    if not windows:
        clip = PreparedClip(
            clip_id="talk/$1",
            status="failed",
            reason="damaged",
            arrays={},
            window_s=(0.0, math.nan),
        )
        timeline.add(Prediction(clip=clip, probabilities=None))
    paths = draw_timeline(timeline, tmp_path, model="cfas")
    assert [p.suffix for p in paths] == [".png", ".svg", ".pdf"]
    assert all(p.stat().st_size > 1000 for p in paths)
    assert b"no audio" in paths[1].read_bytes() or windows
