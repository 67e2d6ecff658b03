"""Time of a clip that its 16 frames do not cover.

A step of 6 frames at 30 per second covers 3.2 s. Whatever a clip has after that time is
in no array of the store.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from mmder_store.settings import FRAMES_16

MIN_UNUSED_S = 1 / 30
"""Unused time that is ignored: one frame at 30 per second."""
MIN_UNUSED_FRACTION = 0.01
"""Fraction of a clip that is ignored: an automatic step is rounded down."""


def unused_seconds(
    start_s: ArrayLike, stop_s: ArrayLike, step_s: ArrayLike
) -> Float64[np.ndarray, "*clip"]:
    """Return the time of each clip after the part that its 16 frames cover.

    Times that are too short to matter are 0. The result is NaN if a time is unknown.

    Args:
        start_s: Time of the first frame of each clip.
        stop_s: End of each clip.
        step_s: Step between the frames.
    """
    duration_s = np.asarray(stop_s, dtype=np.float64) - np.asarray(start_s)
    rest_s = duration_s - FRAMES_16 * np.asarray(step_s, dtype=np.float64)
    ignored_s = np.maximum(MIN_UNUSED_S, MIN_UNUSED_FRACTION * duration_s)
    unused = np.where(rest_s > ignored_s, rest_s, 0.0)
    result: Float64[np.ndarray, "*clip"] = np.where(np.isnan(rest_s), np.nan, unused)
    return result
