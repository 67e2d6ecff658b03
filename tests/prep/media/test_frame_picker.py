"""The frame picked at each target time equals a search over all frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.frame_picker import FramePicker
from mmder_prep.timeline import EARLY_S

# Multiples of 1/1024 s, so that midpoints between frames are exact.
ticks = st.integers(0, 8 * 1024)
stamps = st.lists(ticks, min_size=1, max_size=60).map(lambda t: np.array(t) / 1024)
targets = st.lists(ticks, min_size=1, max_size=16).map(
    lambda t: np.sort(np.array(t)) / 1024
)


def pick(
    picker: FramePicker[int], stamps_s: np.ndarray
) -> tuple[list[int], np.ndarray, int]:
    """Add frames, named by their index, until the picker needs no more."""
    for index, stamp_s in enumerate(stamps_s):
        if picker.add(float(stamp_s), index):
            break
    return picker.finish()


def on_screen(stamps_s: np.ndarray, target_s: float) -> int:
    """Search all frames for the last that is on screen, or about to be."""
    index = 0
    for k in range(1, len(stamps_s)):
        middle_s = (stamps_s[k] + stamps_s[k - 1]) / 2
        if target_s >= max(middle_s, stamps_s[k] - EARLY_S):
            index = k
    return index


@given(stamps_s=stamps, targets_s=targets)
def test_the_picked_frame_is_the_one_on_screen(
    stamps_s: np.ndarray, targets_s: np.ndarray
) -> None:
    stamps_s = np.unique(stamps_s)
    picked, times_s, _ = pick(FramePicker(targets_s), stamps_s)
    assert picked == [on_screen(stamps_s, t) for t in targets_s]
    assert (times_s == stamps_s[picked]).all()


@given(stamps_s=stamps, targets_s=targets)
def test_stamps_that_go_backwards_are_ignored(
    stamps_s: np.ndarray, targets_s: np.ndarray
) -> None:
    highest = np.maximum.accumulate(stamps_s)
    increasing = np.flatnonzero(np.diff(highest, prepend=-1) > 0)
    _, times_s, clamped = pick(FramePicker(targets_s), stamps_s)
    _, expected_s, expected = pick(FramePicker(targets_s), stamps_s[increasing])
    assert (times_s == expected_s).all()
    assert clamped == expected


@given(stamps_s=stamps, targets_s=targets, stop=ticks)
def test_frames_after_the_stop_are_ignored(
    stamps_s: np.ndarray, targets_s: np.ndarray, stop: int
) -> None:
    stamps_s, stop_s = np.unique(stamps_s), stop / 1024
    before = stamps_s[: max(1, int((stamps_s < stop_s).sum()))]
    picked, _, clamped = pick(FramePicker(targets_s, stop_s=stop_s), stamps_s)
    expected, _, _ = pick(FramePicker(targets_s), before)
    assert picked == expected
    # A target after the stop repeats a frame, unless it had one before the end.
    late = int((targets_s >= stop_s).sum())
    assert clamped >= late or before[-1] + EARLY_S >= stop_s


@given(stamps_s=stamps, targets_s=targets)
def test_every_target_has_a_frame_and_times_never_go_backwards(
    stamps_s: np.ndarray, targets_s: np.ndarray
) -> None:
    picked, times_s, clamped = pick(FramePicker(targets_s), stamps_s)
    assert len(picked) == len(times_s) == len(targets_s)
    assert (np.diff(times_s) >= 0).all()
    assert 0 <= clamped <= len(targets_s)


@given(early=st.integers(0, 16), fps=st.sampled_from([24, 25, 30, 60]))
def test_targets_before_the_first_frame_pick_the_first(early: int, fps: int) -> None:
    stamps_s = 3.2 + np.arange(200) / fps
    picked, times_s, clamped = pick(
        FramePicker(3.2 + 0.2 * (np.arange(16) - early)), stamps_s
    )
    assert picked[: early + 1] == [0] * min(early + 1, 16)
    assert clamped == 0
    assert times_s[0] == 3.2


@pytest.mark.parametrize(
    ("frames", "clamped"), [(1, 15), (31, 10), (61, 5), (77, 3), (91, 0), (120, 0)]
)
def test_targets_after_the_last_frame_are_counted(frames: int, clamped: int) -> None:
    """At 30 frames per second and steps of 6, frame 90 is the last one needed."""
    targets_s = np.arange(16) * 0.2
    picked, _, count = pick(FramePicker(targets_s), np.arange(frames) / 30)
    assert count == clamped
    assert picked == [min(6 * i, frames - 1) for i in range(16)]


def test_picker_is_complete_as_soon_as_the_next_frame_is_not_needed() -> None:
    picker: FramePicker[int] = FramePicker(np.array([0.0, 0.09]))
    complete = [picker.add(k / 25, k) for k in range(4)]
    assert complete == [False, False, False, True]
    assert picker.finish()[0] == [0, 2]


def test_picker_needs_no_frame_after_the_stop() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16) * 0.2, stop_s=0.1)
    assert [picker.add(k / 25, k) for k in range(4)] == [False, False, False, True]


def test_gap_is_the_median_distance() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16.0))
    assert picker.gap_s == 0
    for stamp_s in (0.0, 0.04, 0.08, 1.0, 1.04, 1.08):
        picker.add(stamp_s, 0)
    assert picker.gap_s == pytest.approx(0.04)


def test_empty_picker_has_no_result() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16.0))
    assert picker.empty
    with pytest.raises(ValueError, match="no frame was added"):
        picker.finish()
