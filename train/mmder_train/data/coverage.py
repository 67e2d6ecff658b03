"""Part of a clip that its 16 frames and their audio windows cover.

The frames are a step apart (0.2 s by default), so 16 of them cover 3.2 s. Whatever
follows in a longer clip is not used. All times are in seconds on the clock of the clip.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from mmder_store import Store
from mmder_store.coverage import unused_seconds
from mmder_store.settings import FRAMES_16


def covered_stop_s(start_s: float, stop_s: float, step_s: float) -> float:
    """Return the end of the covered part of a clip.

    Args:
        start_s: Time of the first of the 16 frames.
        stop_s: End of the clip, NaN if unknown.
        step_s: Step between the frames.

    >>> round(covered_stop_s(0.0, 12.4, 0.2), 3)
    3.2
    >>> covered_stop_s(0.0, 2.5, 0.2)
    2.5
    """
    return float(np.fmin(start_s + FRAMES_16 * step_s, stop_s))


def is_truncated(start_s: float, stop_s: float, step_s: float) -> bool:
    """Return whether a part of a clip is not covered, or its end is unknown."""
    return float(unused_seconds(start_s, stop_s, step_s)) != 0.0


def coverage_warning(store: Store, rows: Int64[np.ndarray, " clip"]) -> str | None:
    """Return a line on the clips of a store that are longer than what is covered.

    Args:
        store: A store.
        rows: Rows of the clips in use.

    Returns:
        The number of clips with an unused end, and the median of the unused seconds.
        None if there is no such clip.
    """
    start_s, stop_s, step_s = (
        np.asarray(store.columns[name], dtype=np.float64)[rows]
        for name in ("start_s", "stop_s", "step_s")
    )
    unused_s = unused_seconds(start_s, stop_s, step_s)
    longer = unused_s > 0
    unknown = int((np.isnan(stop_s) & np.isfinite(start_s)).sum())
    if not longer.any() and not unknown:
        return None
    parts = []
    if longer.any():
        parts.append(
            f"{longer.sum()} of {len(rows)} clips are longer than the "
            f"{_covered_text(step_s[longer])} that 16 frames cover: the rest, "
            f"{np.median(unused_s[longer]):.2f} s in the median and "
            f"{unused_s[longer].max():.2f} s at most, is not used"
        )
    if unknown:
        parts.append(f"{unknown} of {len(rows)} clips have no known end")
    advice = "Prepare with --step auto to spread the frames over whole clips"
    return f"{'; '.join(parts)}. {advice}."


def _covered_text(step_s: Float64[np.ndarray, " clip"]) -> str:
    """Return the covered duration, or its range if clips differ in their step."""
    covered: Sequence[float] = np.unique((FRAMES_16 * step_s).round(2)).tolist()
    first, last = covered[0], covered[-1]
    return f"{first:g} s" if first == last else f"{first:g} to {last:g} s"
