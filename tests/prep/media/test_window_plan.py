"""Times of windows, and options that contradict the settings."""

import pytest

from mmder_prep.media.window_plan import plan_windows
from mmder_store.errors import SettingsError
from mmder_store.settings import PrepSettings

SPREAD = PrepSettings(step_frames=None)


def test_windows_are_as_long_as_the_clips_of_the_settings() -> None:
    plan = plan_windows(PrepSettings(), every_s=1.5, first_s=2.0)
    assert plan.length_s == pytest.approx(3.2)
    assert plan.step_s == pytest.approx(0.2)
    assert [plan.start_s(i) for i in range(3)] == [2.0, 3.5, 5.0]
    assert [plan.index(plan.start_s(i)) for i in range(50)] == [*range(50)]


@pytest.mark.parametrize(
    ("end_s", "windows"),
    [(1.0, 1), (3.2, 1), (3.24, 1), (3.3, 2), (4.2, 2), (4.3, 3), (60.0, 58)],
)
def test_the_first_window_that_reaches_the_end_is_the_last(
    end_s: float, windows: int
) -> None:
    """At 60 s, the window from 57 to 60.2 s is the last, the 58th."""
    plan = plan_windows(PrepSettings(), every_s=1.0)
    assert sum(plan.has(i, end_s) for i in range(100)) == windows
    part = plan_windows(PrepSettings(), every_s=1.0, stop_s=end_s)
    assert sum(part.has(i) for i in range(100)) == windows


def test_a_spread_step_needs_the_length_of_a_window() -> None:
    plan = plan_windows(SPREAD, every_s=1.0, length_s=4.0)
    assert plan.length_s == 4.0
    assert plan.step_s == pytest.approx(0.25, abs=0.01)
    with pytest.raises(SettingsError, match="--window SECONDS"):
        plan_windows(SPREAD, every_s=1.0)


@pytest.mark.parametrize(
    ("settings", "values", "text"),
    [
        (PrepSettings(), {"every_s": 0.0}, "--every 0: expected 0.05 s or more"),
        (PrepSettings(), {"every_s": float("nan")}, "--every nan: expected"),
        (PrepSettings(), {"every_s": 1.0, "length_s": 2.0}, "clips are 3.2 s long"),
        (SPREAD, {"every_s": 1.0, "length_s": -1.0}, "--window -1: expected more"),
    ],
)
def test_impossible_values_are_one_line(
    settings: PrepSettings, values: dict[str, float], text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        plan_windows(settings, **values)
