"""Schedule of a clip: the frame times, and the audio window around each of them.

This module is the basis of the claim that audio and video are aligned. All times are
seconds on one clock: presentation time stamps, zero at the start of the file.
Intervals are half-open. Nothing here opens a file.

    target times t(i)   start     +step     +2 step   +3 step
                          |         |         |         |
    window of t(1)        [---------+---------)
    window of t(2)                  [---------+---------)

Paper: IV-B1, "the audio signal is cut at the time point T-1 and T+1", with T in
units of the sampled frames, as its figure 2 shows. Frames are 6 apart if 16 are
taken and 12 apart if 8 are taken. The paper does not state the unit of time; we
assume frames at 30 per second.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mmder_store.settings import FRAMES_8, FRAMES_16, PrepSettings

EARLY_S = 0.021
"""Maximum time by which a frame may begin after the instant it is taken for: half a
frame at 24 per second, since 6 frames at 29.97 per second last longer than 0.2 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSchedule:
    """Times at which one clip is sampled; made by `schedule_clip`."""

    step_s: float
    """Distance between two target times."""
    target_times_s: Float64[np.ndarray, " frame"]
    """The 16 instants at which frames are taken."""
    window_bounds_s: Mapping[int, Float64[np.ndarray, "_ 2"]]
    """Half-open bounds of the audio windows, by the number of windows (16 and 8)."""
    span_s: tuple[float, float]
    """Bounds of the audio that any of the windows can need."""


def schedule_clip(start_s: float, step_s: float) -> ClipSchedule:
    """Return the schedule of a clip from its first target time and its step."""
    times_s = instants(start_s, step_s, FRAMES_16)
    return ClipSchedule(
        step_s=step_s,
        target_times_s=times_s,
        window_bounds_s={
            count: windows(times_s[:: FRAMES_16 // count], FRAMES_16 // count * step_s)
            for count in (FRAMES_16, FRAMES_8)
        },
        span_s=span(start_s, step_s),
    )


def instants(
    start_s: float, step_s: float, count: int
) -> Float64[np.ndarray, " frame"]:
    """Return `count` target times, `step_s` apart, the first at `start_s`."""
    return start_s + step_s * np.arange(count, dtype=np.float64)


def windows(
    times_s: Float64[np.ndarray, " window"], step_s: float
) -> Float64[np.ndarray, "window 2"]:
    """Return the half-open audio bounds ``[t - step, t + step)`` around each time.

    Paper: IV-B1. Half of the window at the first time precedes the clip.
    """
    return np.stack([times_s - step_s, times_s + step_s], axis=1)


def span(start_s: float, step_s: float) -> tuple[float, float]:
    """Return the bounds of the audio that any window of a clip can need.

    16 windows of two steps and 8 windows of four steps end at the same time. The 8
    windows begin one step earlier.
    """
    return start_s - 2 * step_s, start_s + FRAMES_16 * step_s


def takes_over_s(shown_s: float, next_s: float) -> float:
    """Return the instant from which the next frame replaces the current one.

    The next frame replaces it as soon as it is on screen. It also does so shortly
    before: by at most half the distance of the two frames, and at most `EARLY_S`.
    A file that claims 30 frames per second often has 29.97.

    >>> takes_over_s(5 / 29.97, 6 / 29.97) < 0.2
    True
    >>> takes_over_s(0.0, 0.5) > 0.4  # a frame shown for half a second is kept
    True
    """
    return next_s - min(EARLY_S, (next_s - shown_s) / 2)


def spread_step(duration_s: float, settings: PrepSettings) -> float:
    """Return the step that spreads 16 frames evenly over a clip.

    The step is rounded down so that the columns of a spectrogram fall on whole
    samples (see `spectra_grid`). No audio at the end of a window is cut off.

    Raises:
        ValueError: If the duration is not positive.
    """
    if not duration_s > 0:
        msg = f"duration {duration_s} s, expected more than 0"
        raise ValueError(msg)
    per_step = columns_per_step(settings)
    rate = settings.sample_rate_hz
    # No window is shorter than one transform, however short the clip is.
    shortest = -(-settings.fft_samples // (2 * per_step))
    apart = max(shortest, math.floor(duration_s * rate / FRAMES_16 / per_step))
    pooled = -(-apart // settings.hop_samples)
    apart = max(apart - apart % pooled, settings.hop_samples * (pooled - 1))
    return apart * per_step / rate


def spectra_grid(step_s: float, settings: PrepSettings) -> tuple[int, int]:
    """Return the hop in samples, and the number of spectra averaged per column.

    With a stated step the hop is that of the settings. With a spread step a column
    covers a fixed fraction of the step. If a column is longer than the longest hop,
    several spectra are computed and averaged, so that no audio between two spectra
    is lost.
    """
    if settings.step_frames is not None:
        return settings.hop_samples, 1
    apart = round(step_s * settings.sample_rate_hz / columns_per_step(settings))
    pooled = -(-apart // settings.hop_samples)
    return apart // pooled, pooled


def columns_per_step(settings: PrepSettings) -> int:
    """Return the number of spectrogram columns per step."""
    return (settings.columns(FRAMES_16) - 1) // 2
