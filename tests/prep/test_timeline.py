"""Target times, windows and steps: arithmetic on seconds, checked by its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep import timeline
from mmder_store.settings import FRAMES_8, FRAMES_16, PrepSettings

starts = st.floats(-5, 1e4)
steps = st.floats(0.004, 10)
RATES = [24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60]


@given(start_s=starts, step_s=steps)
def test_instants_begin_at_the_start_and_are_one_step_apart(
    start_s: float, step_s: float
) -> None:
    times_s = timeline.instants(start_s, step_s, FRAMES_16)
    assert times_s[0] == start_s
    assert times_s.shape == (16,)
    np.testing.assert_allclose(np.diff(times_s), step_s, atol=1e-9)


@given(start_s=starts, step_s=steps)
def test_eight_instants_are_every_second_one_of_sixteen(
    start_s: float, step_s: float
) -> None:
    sixteen = timeline.instants(start_s, step_s, FRAMES_16)
    eight = timeline.instants(start_s, 2 * step_s, FRAMES_8)
    np.testing.assert_allclose(eight, sixteen[::2], rtol=1e-14, atol=1e-12)


@given(start_s=starts, step_s=steps)
def test_windows_are_centered_on_their_instants_and_two_steps_long(
    start_s: float, step_s: float
) -> None:
    times_s = timeline.instants(start_s, step_s, FRAMES_16)
    bounds_s = timeline.windows(times_s, step_s)
    np.testing.assert_allclose(bounds_s.mean(axis=1), times_s, atol=1e-9)
    np.testing.assert_allclose(np.diff(bounds_s)[:, 0], 2 * step_s, atol=1e-9)


@given(step_s=steps)
def test_half_of_the_first_window_precedes_the_clip(step_s: float) -> None:
    bounds_s = timeline.windows(timeline.instants(0.0, step_s, 16), step_s)
    assert (bounds_s[0] == [-step_s, step_s]).all()
    assert bounds_s[1, 0] == 0


@given(start_s=starts, step_s=steps)
def test_span_is_the_union_of_all_windows_of_sixteen_and_of_eight(
    start_s: float, step_s: float
) -> None:
    times_s = timeline.instants(start_s, step_s, FRAMES_16)
    sixteen = timeline.windows(times_s, step_s)
    eight = timeline.windows(times_s[::2], 2 * step_s)
    both = np.concatenate([sixteen, eight])
    low_s, high_s = timeline.span(start_s, step_s)
    assert low_s == pytest.approx(both.min(), abs=1e-9)
    assert high_s == pytest.approx(both.max(), abs=1e-9)
    assert sixteen.max() == pytest.approx(eight.max(), abs=1e-9)


@given(start_s=starts, step_s=steps)
def test_schedule_contains_the_instants_windows_and_span(
    start_s: float, step_s: float
) -> None:
    schedule = timeline.schedule_clip(start_s, step_s)
    times_s = timeline.instants(start_s, step_s, FRAMES_16)
    bounds_s = schedule.window_bounds_s
    assert schedule.step_s == step_s
    assert (schedule.target_times_s == times_s).all()
    assert set(bounds_s) == {FRAMES_16, FRAMES_8}
    assert (bounds_s[FRAMES_16] == timeline.windows(times_s, step_s)).all()
    assert (bounds_s[FRAMES_8] == timeline.windows(times_s[::2], 2 * step_s)).all()
    assert schedule.span_s == timeline.span(start_s, step_s)


def frame_at(stamps_s: np.ndarray, instant_s: float) -> int:
    """Advance as long as the next frame has replaced the current one."""
    index = 0
    while index + 1 < len(stamps_s) and instant_s >= timeline.takes_over_s(
        float(stamps_s[index]), float(stamps_s[index + 1])
    ):
        index += 1
    return index


@pytest.mark.parametrize("fps", RATES)
def test_nearest_frame_is_shown_at_usual_frame_rates(fps: float) -> None:
    stamps_s = np.arange(300) / fps
    for instant_s in 0.2 * np.arange(16):
        index = frame_at(stamps_s, instant_s)
        distance_s = np.abs(stamps_s - instant_s)
        assert distance_s[index] == pytest.approx(distance_s.min(), abs=1e-9)
        assert distance_s[index] <= 0.5 / fps + 1e-9


@pytest.mark.parametrize("fps", [30000 / 1001, 30])
def test_every_sixth_frame_is_shown_at_thirty_frames_per_second(fps: float) -> None:
    """Paper: frames 6 apart. This also holds at 29.97 frames per second."""
    indices = [frame_at(np.arange(120) / fps, 0.2 * i) for i in range(16)]
    assert indices == list(range(0, 96, 6))


@given(
    shown_s=st.floats(0, 100),
    gap_s=st.floats(0.043, 30),
    fraction=st.floats(0, 1),
)
def test_long_frame_is_shown_until_the_next_is_due(
    shown_s: float, gap_s: float, fraction: float
) -> None:
    instant_s = shown_s + fraction * (gap_s - timeline.EARLY_S - 1e-6)
    assert instant_s < timeline.takes_over_s(shown_s, shown_s + gap_s)


@given(shown_s=st.floats(0, 100), gap_s=st.floats(1e-3, 30))
def test_frame_on_screen_replaces_the_one_before(shown_s: float, gap_s: float) -> None:
    next_s = shown_s + gap_s
    assert shown_s < timeline.takes_over_s(shown_s, next_s) <= next_s


@given(duration_s=st.floats(0.02, 600))
@pytest.mark.parametrize(
    "settings",
    [
        PrepSettings(step_frames=None),
        PrepSettings(
            step_frames=None,
            sample_rate_hz=22050,
            fft_samples=1024,
            fft_window_samples=551,
            hop_samples=220,
        ),
        PrepSettings(step_frames=None, sample_rate_hz=8000, hop_samples=80),
    ],
    ids=["16k", "22k", "8k"],
)
def test_spread_steps_yield_the_same_number_of_columns_for_every_clip(
    settings: PrepSettings, duration_s: float
) -> None:
    step_s = timeline.spread_step(duration_s, settings)
    hop, pooled = timeline.spectra_grid(step_s, settings)
    assert 1 <= hop <= settings.hop_samples
    for count in (FRAMES_16, FRAMES_8):
        window_s = 2 * step_s * (FRAMES_16 // count)
        samples = round(window_s * settings.sample_rate_hz)
        assert samples >= settings.fft_samples
        spectra = 1 + samples // hop
        assert samples % hop == 0
        assert -(-spectra // pooled) == settings.columns(count)


@given(duration_s=st.floats(0.3, 600))
def test_spread_step_stays_within_the_clip_and_reaches_its_end(
    duration_s: float,
) -> None:
    settings = PrepSettings(step_frames=None)
    used_s = 16 * timeline.spread_step(duration_s, settings)
    assert used_s <= duration_s + 1e-9
    assert used_s > duration_s * (0.98 if duration_s >= 1 else 0.93)


@given(duration_s=st.floats(0.02, 300), factor=st.floats(1, 2))
def test_longer_clip_has_no_shorter_step(duration_s: float, factor: float) -> None:
    settings = PrepSettings(step_frames=None)
    short_s = timeline.spread_step(duration_s, settings)
    assert timeline.spread_step(duration_s * factor, settings) >= short_s - 1e-12


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan")])
def test_clip_without_duration_has_no_step(duration_s: float) -> None:
    with pytest.raises(ValueError, match=r"duration .* expected more than 0"):
        timeline.spread_step(duration_s, PrepSettings(step_frames=None))


@given(step_frames=st.floats(0.1, 300))
def test_stated_step_keeps_the_hop_of_the_settings(step_frames: float) -> None:
    settings = PrepSettings(step_frames=step_frames)
    assert settings.step_s is not None
    assert timeline.spectra_grid(settings.step_s, settings) == (160, 1)
