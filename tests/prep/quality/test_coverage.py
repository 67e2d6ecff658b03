"""Clips that are longer than the time that their 16 frames cover."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.quality.coverage import coverage, unused_s
from mmder_prep.timeline import spread_step
from mmder_store import PrepSettings


def columns(durations_s: list[float], step_s: float = 0.2) -> dict[str, Any]:
    """Return columns of clips that start at 1 s; the last clip failed."""
    count = len(durations_s) + 1
    return {
        "start_s": np.full(count, 1.0),
        "stop_s": 1.0 + np.array([*durations_s, 99.0]),
        "step_s": np.full(count, step_s),
        "status": np.array([*["ok"] * (count - 1), "failed"], dtype=object),
    }


def test_durations_are_compared_with_sixteen_steps() -> None:
    """Less than a frame is ignored; failed clips and unknown durations do not count."""
    stored = columns([3.2, 3.2 + 0.03, 3.7, 4.2, 1.0, np.nan])
    expected = [0, 0, 0.5, 1.0, 0, np.nan, np.nan]
    np.testing.assert_allclose(unused_s(stored), expected, atol=1e-9)
    found = coverage(stored, PrepSettings())
    assert (found.clips, found.longer) == (5, 2)
    assert found.line == (
        "2 of 5 clips are longer than the 3.2 s that their 16 frames cover (median of "
        "the unused end 0.75 s)"
    )
    assert "--step auto" in found.advice
    assert "start_s and stop_s" in found.advice


@pytest.mark.parametrize("durations_s", [[3.2, 1.0], []])
def test_stores_without_longer_clips_have_no_line(durations_s: list[float]) -> None:
    found = coverage(columns(durations_s), PrepSettings())
    assert found.line == found.advice == ""


@given(duration_s=st.floats(0.1, 600))
def test_automatic_step_covers_the_whole_clip(duration_s: float) -> None:
    """The step is rounded down, by less than what is ignored."""
    settings = PrepSettings(step_frames=None)
    stored = columns([duration_s], spread_step(duration_s, settings))
    assert unused_s(stored)[0] == 0


def test_automatic_step_of_a_very_long_clip_is_named() -> None:
    found = coverage(columns([700.0], 37.5), PrepSettings(step_frames=None))
    assert "longer than the time that their 16 frames cover" in found.line
    assert "--step" not in found.advice
