"""Which instants of a clip are taken, and which sound belongs to each.

The heart of the claim that sound and picture are aligned. All times are seconds
on one clock: presentation time stamps, zero where the file starts. Intervals are
half-open. Nothing here opens a file.

    instants t(i)     start     +step     +2 step   +3 step
                        |         |         |         |
    window of t(1)      [---------+---------)
    window of t(2)                [---------+---------)

Paper: IV-B1, "the audio signal is cut at the time point T-1 and T+1", with T in
units of the sampled frames, as its figure 2 shows. Frames are 6 apart where
sixteen are taken and 12 apart where eight are; the paper does not say in which
unit of time, we take frames at 30 per second.
"""

import math

import numpy as np
from jaxtyping import Float64

from mmder_store.settings import FRAMES_16, PrepSettings

EARLY_S = 0.021
"""A frame that begins at most this long after an instant may count as on screen:
half a frame at 24 per second, since 6 frames at 29.97 last longer than 0.2 s."""


def instants(
    start_s: float, step_s: float, count: int
) -> Float64[np.ndarray, " frame"]:
    """List the instants at which frames are taken, `step_s` apart from `start_s`."""
    return start_s + step_s * np.arange(count, dtype=np.float64)


def windows(
    times_s: Float64[np.ndarray, " window"], step_s: float
) -> Float64[np.ndarray, "window 2"]:
    """Give the half-open bounds ``[t - step, t + step)`` of the sound around each time.

    Paper: IV-B1. At the first instant half of the window lies before the clip.
    """
    return np.stack([times_s - step_s, times_s + step_s], axis=1)


def span(start_s: float, step_s: float) -> tuple[float, float]:
    """Bound the sound that any window of a clip can ask for.

    Sixteen windows of two steps and eight of four end at the same time; the eight
    begin one step earlier.
    """
    return start_s - 2 * step_s, start_s + FRAMES_16 * step_s


def takes_over_s(shown_s: float, next_s: float) -> float:
    """Give the instant from which the next frame has taken the place of the shown one.

    It has once it is on screen. Within half the distance of the two, and never by
    more than `EARLY_S`, it also has just before: 29.97 frames a second are meant
    where 30 are said.

    >>> takes_over_s(5 / 29.97, 6 / 29.97) < 0.2
    True
    >>> takes_over_s(0.0, 0.5) > 0.4  # a frame that stands for half a second stands
    True
    """
    return next_s - min(EARLY_S, (next_s - shown_s) / 2)


def spread_step(duration_s: float, settings: PrepSettings) -> float:
    """Give the step that spreads 16 frames over a clip.

    It is rounded down to where the columns of a spectrogram fall on whole samples
    (see `spectra_grid`), so that no sound at the end of a window is cut off.

    Raises:
        ValueError: If the clip has no length.
    """
    if not duration_s > 0:
        msg = f"duration {duration_s} s, expected more than 0"
        raise ValueError(msg)
    per_step = columns_per_step(settings)
    rate = settings.sample_rate_hz
    # No window is shorter than one transform, however short the clip.
    shortest = -(-settings.fft_samples // (2 * per_step))
    apart = max(shortest, math.floor(duration_s * rate / FRAMES_16 / per_step))
    pooled = -(-apart // settings.hop_samples)
    apart = max(apart - apart % pooled, settings.hop_samples * (pooled - 1))
    return apart * per_step / rate


def spectra_grid(step_s: float, settings: PrepSettings) -> tuple[int, int]:
    """Give the hop in samples, and how many spectra are averaged into one column.

    With a stated step the hop is the settings' own. With a spread step a column is
    a fixed share of the step; where it would be longer than the longest hop, sound
    between two spectra would be lost, so several are taken and averaged.
    """
    if settings.step_frames is not None:
        return settings.hop_samples, 1
    apart = round(step_s * settings.sample_rate_hz / columns_per_step(settings))
    pooled = -(-apart // settings.hop_samples)
    return apart // pooled, pooled


def columns_per_step(settings: PrepSettings) -> int:
    """Count the columns of a spectrogram that one step is long."""
    return (settings.columns(FRAMES_16) - 1) // 2
