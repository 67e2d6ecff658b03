"""Which frame is taken at each instant, against a search over all frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.frame_picker import FramePicker
from mmder_prep.timeline import EARLY_S

# Whole 1024ths of a second, so that midpoints of frames are exact.
ticks = st.integers(0, 8 * 1024)
stamps = st.lists(ticks, min_size=1, max_size=60).map(lambda t: np.array(t) / 1024)
instants = st.lists(ticks, min_size=1, max_size=16).map(
    lambda t: np.sort(np.array(t)) / 1024
)


def feed(
    picker: FramePicker[int], stamps_s: np.ndarray
) -> tuple[list[int], np.ndarray, int]:
    """Show frames, named by their place, until the picker has enough."""
    for place, stamp_s in enumerate(stamps_s):
        if picker.add(float(stamp_s), place):
            break
    return picker.finish()


def on_screen(shown_s: np.ndarray, instant_s: float) -> int:
    """Search all frames for the last that is on screen, or about to be."""
    place = 0
    for k in range(1, len(shown_s)):
        middle_s = (shown_s[k] + shown_s[k - 1]) / 2
        if instant_s >= max(middle_s, shown_s[k] - EARLY_S):
            place = k
    return place


@given(stamps_s=stamps, wanted_s=instants)
def test_the_frame_taken_is_the_one_on_screen(
    stamps_s: np.ndarray, wanted_s: np.ndarray
) -> None:
    stamps_s = np.unique(stamps_s)
    taken, times_s, _ = feed(FramePicker(wanted_s), stamps_s)
    assert taken == [on_screen(stamps_s, t) for t in wanted_s]
    assert (times_s == stamps_s[taken]).all()


@given(stamps_s=stamps, wanted_s=instants)
def test_stamps_that_go_back_are_as_if_they_were_not_there(
    stamps_s: np.ndarray, wanted_s: np.ndarray
) -> None:
    highest = np.maximum.accumulate(stamps_s)
    fresh = np.flatnonzero(np.diff(highest, prepend=-1) > 0)
    _, times_s, clamped = feed(FramePicker(wanted_s), stamps_s)
    _, expected_s, expected = feed(FramePicker(wanted_s), stamps_s[fresh])
    assert (times_s == expected_s).all()
    assert clamped == expected


@given(stamps_s=stamps, wanted_s=instants, stop=ticks)
def test_frames_from_the_stop_on_are_as_if_they_were_not_there(
    stamps_s: np.ndarray, wanted_s: np.ndarray, stop: int
) -> None:
    stamps_s, stop_s = np.unique(stamps_s), stop / 1024
    before = stamps_s[: max(1, int((stamps_s < stop_s).sum()))]
    taken, _, clamped = feed(FramePicker(wanted_s, stop_s=stop_s), stamps_s)
    expected, _, _ = feed(FramePicker(wanted_s), before)
    assert taken == expected
    # What lies past the stop repeats a frame, unless it was served before the end.
    late = int((wanted_s >= stop_s).sum())
    assert clamped >= late or before[-1] + EARLY_S >= stop_s


@given(stamps_s=stamps, wanted_s=instants)
def test_every_instant_gets_a_frame_and_times_never_go_back(
    stamps_s: np.ndarray, wanted_s: np.ndarray
) -> None:
    taken, times_s, clamped = feed(FramePicker(wanted_s), stamps_s)
    assert len(taken) == len(times_s) == len(wanted_s)
    assert (np.diff(times_s) >= 0).all()
    assert 0 <= clamped <= len(wanted_s)


@given(early=st.integers(0, 16), fps=st.sampled_from([24, 25, 30, 60]))
def test_instants_before_the_first_frame_take_the_first(early: int, fps: int) -> None:
    stamps_s = 3.2 + np.arange(200) / fps
    taken, times_s, clamped = feed(
        FramePicker(3.2 + 0.2 * (np.arange(16) - early)), stamps_s
    )
    assert taken[: early + 1] == [0] * min(early + 1, 16)
    assert clamped == 0
    assert times_s[0] == 3.2


@pytest.mark.parametrize(
    ("frames", "clamped"), [(1, 15), (31, 10), (61, 5), (77, 3), (91, 0), (120, 0)]
)
def test_instants_past_the_last_frame_are_counted(frames: int, clamped: int) -> None:
    """At 30 frames a second and steps of 6, frame 90 is the last one needed."""
    wanted_s = np.arange(16) * 0.2
    taken, _, count = feed(FramePicker(wanted_s), np.arange(frames) / 30)
    assert count == clamped
    assert taken == [min(6 * i, frames - 1) for i in range(16)]


def test_it_is_satisfied_as_soon_as_the_next_frame_is_not_needed() -> None:
    picker: FramePicker[int] = FramePicker(np.array([0.0, 0.09]))
    seen = [picker.add(k / 25, k) for k in range(4)]
    assert seen == [False, False, False, True]
    assert picker.finish()[0] == [0, 2]


def test_a_stop_satisfies_it() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16) * 0.2, stop_s=0.1)
    assert [picker.add(k / 25, k) for k in range(4)] == [False, False, False, True]


def test_the_gap_is_the_median_distance() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16.0))
    assert picker.gap_s == 0
    for stamp_s in (0.0, 0.04, 0.08, 1.0, 1.04, 1.08):
        picker.add(stamp_s, 0)
    assert picker.gap_s == pytest.approx(0.04)


def test_without_a_frame_there_is_nothing_to_give() -> None:
    picker: FramePicker[int] = FramePicker(np.arange(16.0))
    assert picker.empty
    with pytest.raises(ValueError, match="no frame was seen"):
        picker.finish()
