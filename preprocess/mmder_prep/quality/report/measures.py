"""Quality measures of the clips of a store, and a ranking of the worst clips.

Nothing here opens a file. A measure has a limit: values within it are ordinary, values
beyond it should be checked by a person. The limits are choices of this project. They
sort clips, and never drop one.

Corpora differ in level and in pauses. The limits of these measures follow from the
store itself: the median, plus or minus three standard deviations as estimated from the
median absolute deviation (MAD). Measured on 1,200 genuine takes of RAVDESS: 615 were
beyond the fixed limits that were used before (-45 dB, half silent), 8 are beyond
these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from mmder_prep.quality.coverage import unused_s
from mmder_prep.quality.report.text import brief
from mmder_store.schema import STATUSES
from mmder_store.settings import FRAMES_16


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A quantity with one value per clip."""

    name: str
    unit: str
    meaning: str
    """Definition for the page."""
    limit: float = np.nan
    """Largest or smallest ordinary value. NaN if no value is bad in itself."""
    worse: Literal["above", "below", "away"] = "above"
    """Side of the limit that is worse; ``away`` means a distance from `center`."""
    center: float = 0.0
    """Value from which distances are measured."""
    tolerance: float = np.nan
    """Smallest distance from the median of a store that is not ordinary; the limit then
    follows from the store (`fit_limit`). NaN for a limit that is the same for all."""

    def excess(self, values: Float64[np.ndarray, " clip"]) -> NDArray[Any]:
        """Return values relative to the limit, positive beyond it; NaN stays NaN."""
        if self.worse == "away":
            return np.asarray(np.abs(values - self.center) - self.limit)
        sign = 1 if self.worse == "above" else -1
        return np.asarray(sign * (values - self.limit))

    @property
    def bound(self) -> str:
        """The limit as text, with its direction and unit. Empty if there is none."""
        if np.isnan(self.limit):
            return ""
        sign = {"above": "> ", "below": "< ", "away": "> ±"}[self.worse]
        text = f"{sign}{brief(self.limit)} {self.unit}".strip()
        return f"{text} from {brief(self.center)}" if self.center else text


MEASURES = (
    Measure(
        name="duration",
        unit="s",
        meaning="time from the first selected frame to the end of the clip",
    ),
    Measure(
        name="unused end",
        unit="s",
        meaning=f"time of the clip after the part that its {FRAMES_16} frames cover",
    ),
    Measure(
        name="clamped",
        unit="frames",
        meaning=f"number of the {FRAMES_16} frames that repeat the last one, because "
        "the clip ended before them",
        limit=FRAMES_16 / 4,
    ),
    Measure(
        name="A/V offset",
        unit="s",
        meaning="time of the first video frame minus time of the first audio sample; "
        "the store has both on one clock, so an offset is not an error, but a large "
        "offset is rare",
        limit=0.1,
        worse="away",
        tolerance=0.1,
    ),
    Measure(
        name="face fraction",
        unit="",
        meaning="fraction of the searched frames in which the face was found",
        limit=0.75,
        worse="below",
    ),
    Measure(
        name="face score",
        unit="",
        meaning="median detector score over the frames with a face",
        limit=0.95,
        worse="below",
    ),
    Measure(
        name="crop shift",
        unit="sides",
        meaning="jitter: median motion of the crop center between frames, relative to "
        "the side of the crop",
        limit=0.05,
    ),
    Measure(
        name="crop zoom",
        unit="sides",
        meaning="jitter: median change of the crop side between frames, relative to "
        "the side of the crop",
        limit=0.05,
    ),
    Measure(
        name="crop jump",
        unit="sides",
        meaning="largest sum of both changes between two frames; a large value means "
        "another person or a cut",
        limit=0.25,
    ),
    Measure(
        name="loudness",
        unit="dB",
        meaning="root mean square of the audio relative to full scale",
        limit=-70.0,
        worse="below",
        tolerance=15.0,
    ),
    Measure(
        name="silence",
        unit="",
        meaning="fraction of 20 ms audio blocks below -60 dB full scale",
        limit=0.95,
        tolerance=0.2,
    ),
    Measure(
        name="decode errors",
        unit="packets",
        meaning="number of damaged packets that were skipped",
        limit=0.0,
    ),
)
MIN_CLIPS = 8
"""Number of clips from which the distribution of a measure is known well enough."""
DEVIATIONS = 3.0
"""Number of standard deviations from the median that are ordinary."""
MAD_STD = 1.4826
"""Standard deviation of a normal distribution relative to its MAD."""
CROP_MEASURES = ("face score", "crop shift", "crop zoom", "crop jump")
"""Measures computed from arrays; the others are computed from columns."""
Values = Mapping[str, Float64[np.ndarray, " clip"]]
"""Values by name of the measure, NaN if unknown."""


def column_measures(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the measures computed from columns; NaN for clips that failed."""

    def known(name: str) -> NDArray[Any]:
        """Return a column as floats, with NaN for the -1 of unknown integers."""
        column = columns[name]
        values = column.astype(np.float64)
        return (
            np.where(values < 0, np.nan, values) if column.dtype.kind == "i" else values
        )

    searched = known("faces_searched")
    measured = {
        "duration": known("stop_s") - known("start_s"),
        "unused end": unused_s(columns),
        "clamped": known("clamped"),
        "A/V offset": known("picture_start_s") - known("sound_start_s"),
        "face fraction": np.divide(
            known("faces_found"),
            searched,
            out=np.full(len(searched), np.nan),
            where=searched > 0,
        ),
        "loudness": known("sound_rms_db"),
        "silence": known("silence"),
        "decode errors": known("decode_errors"),
    }
    failed = columns["status"] == "failed"
    return {name: np.where(failed, np.nan, values) for name, values in measured.items()}


def crop_measures(
    boxes_px: Float64[np.ndarray, "frame 4"], scores: Float64[np.ndarray, " frame"]
) -> dict[str, float]:
    """Return the measures in `CROP_MEASURES` for one clip.

    Args:
        boxes_px: Left, top, right, bottom of the crop of each frame.
        scores: Detector score of each frame, NaN if no face was found.

    Returns:
        Values by name of the measure; NaN if there is no crop.
    """
    center = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    side = boxes_px[:, 2] - boxes_px[:, 0]
    if not (side > 0).all():
        return dict.fromkeys(CROP_MEASURES, np.nan)
    between = (side[1:] + side[:-1]) / 2
    shift = np.linalg.norm(np.diff(center, axis=0), axis=1) / between
    zoom = np.abs(np.diff(side)) / between
    detected = scores[np.isfinite(scores)]
    return {
        "face score": float(np.median(detected)) if len(detected) else np.nan,
        "crop shift": float(np.median(shift)),
        "crop zoom": float(np.median(zoom)),
        "crop jump": float((shift + zoom).max()),
    }


def fit_limit(measure: Measure, values: Float64[np.ndarray, " clip"]) -> Measure:
    """Return a measure with a limit that fits the distribution of its values.

    The limit of a measure with a tolerance is its distance from the median. Where the
    values vary, it is larger: three standard deviations. The limit of the measure
    itself holds in every store. With few clips it is the only one.
    """
    known = values[np.isfinite(values)]
    if np.isnan(measure.tolerance) or len(known) < MIN_CLIPS:
        return measure
    median = float(np.median(known))
    deviation = MAD_STD * float(np.median(np.abs(known - median)))
    distance = max(measure.tolerance, DEVIATIONS * deviation)
    if measure.worse == "above":
        return replace(measure, limit=min(measure.limit, median + distance))
    if measure.worse == "below":
        return replace(measure, limit=max(measure.limit, median - distance))
    # A common offset smaller than the limit is not worth stating.
    center = median if abs(median) > measure.limit else 0.0
    return replace(measure, limit=distance, center=center)


def fit_limits(values: Values) -> tuple[Measure, ...]:
    """Return the measures that a store has, with the limits that fit it."""
    return tuple(fit_limit(m, values[m.name]) for m in MEASURES if m.name in values)


def beyond(measure: Measure, values: Float64[np.ndarray, " clip"]) -> NDArray[Any]:
    """Return which clips are beyond the limit of a measure."""
    flags: Bool[np.ndarray, " clip"] = measure.excess(values) > 0
    return flags


def beyond_any(values: Values) -> NDArray[Any]:
    """Return which clips are beyond the limit of at least one measure."""
    flags = [beyond(m, values[m.name]) for m in fit_limits(values)]
    return np.asarray(np.any(flags, axis=0))


def badness(
    measure: Measure, values: Float64[np.ndarray, " clip"]
) -> Float64[np.ndarray, " clip"]:
    """Rank clips by one measure.

    Returns:
        Fraction of the measured clips that are strictly better; 0 for a clip within the
        limit or not measured.
    """
    excess = measure.excess(values)
    order = np.sort(excess[~np.isnan(excess)])
    better = np.searchsorted(order, excess, side="left") / max(len(order), 1)
    return np.where(excess > 0, better, 0.0)


def worst_first(status: NDArray[Any], values: Values, *, count: int) -> list[int]:
    """Return the clips that a person should check first.

    Clips that are not ok come first, in the order failed, no_video, no_audio, no_face.
    They take at most half of the positions if enough ok clips beyond a limit remain.
    The ok clips are sorted by their largest `badness`, then by the sum over all
    measures, then by their order in the store.

    Args:
        status: Status of every clip.
        values: Measured values.
        count: Maximum number of clips.

    Returns:
        Rows, the worst first; fewer than `count` if no other clip is beyond a limit.
    """
    severity = np.array([STATUSES.index(s) for s in status])
    bad = np.stack([badness(m, values[m.name]) for m in fit_limits(values)])
    largest, total = bad.max(axis=0), bad.sum(axis=0)
    order = np.lexsort((-total, -largest, -severity))
    exceeds = beyond_any(values)
    not_ok = [int(row) for row in order if severity[row]]
    exceeding = [int(row) for row in order if exceeds[row] and not severity[row]]
    positions = max(count - len(exceeding), count - count // 2)
    first = not_ok[:positions]
    return first + exceeding[: count - len(first)]


def ordinary_clips(
    status: NDArray[Any], values: Values, *, count: int, seed: int
) -> list[int]:
    """Draw clips that are ok and within all limits, and return them in store order."""
    rows = np.flatnonzero((status == "ok") & ~beyond_any(values))
    drawn = np.random.default_rng(seed).permutation(rows)[:count]
    return sorted(int(row) for row in drawn)
