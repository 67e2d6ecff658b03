"""How good each clip of a store is, in numbers: what is measured, and which is worst.

Nothing here opens a file. A measure has a limit: up to it a difference means nothing,
beyond it a person should look. The limits are ours; they sort, and drop no clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from mmder_prep.quality.report.text import brief
from mmder_store.schema import STATUSES
from mmder_store.settings import FRAMES_16


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One number a clip."""

    name: str
    unit: str
    meaning: str
    limit: float = np.nan
    """NaN where no value is bad in itself."""
    worse: Literal["above", "below", "away"] = "above"
    """On which side of the limit, or away from zero by more than it."""

    def excess(self, values: Float64[np.ndarray, " clip"]) -> NDArray[Any]:
        """Turn values so that larger is worse, and 0 is the limit; NaN stays."""
        if self.worse == "away":
            return np.asarray(np.abs(values) - self.limit)
        sign = 1 if self.worse == "above" else -1
        return np.asarray(sign * (values - self.limit))

    @property
    def bound(self) -> str:
        """Say the limit in words."""
        if np.isnan(self.limit):
            return ""
        sign = {"above": "> ", "below": "< ", "away": "> ±"}[self.worse]
        return f"{sign}{brief(self.limit)} {self.unit}".strip()


MEASURES = (
    Measure(
        name="duration",
        unit="s",
        meaning="from the first frame taken to the end of the clip",
    ),
    Measure(
        name="clamped",
        unit="frames",
        meaning=f"of the {FRAMES_16} frames, those that repeat the last picture since "
        "the clip ended before them",
        limit=FRAMES_16 / 4,
    ),
    Measure(
        name="A/V offset",
        unit="s",
        meaning="first picture minus first sample of sound; the store keeps both on "
        "one clock, so an offset is not an error, but a long one is rare",
        limit=0.1,
        worse="away",
    ),
    Measure(
        name="face share",
        unit="",
        meaning="frames in which the face was found, of those in which it was looked "
        "for",
        limit=0.75,
        worse="below",
    ),
    Measure(
        name="face score",
        unit="",
        meaning="median score of the detector over the frames with a face",
        limit=0.95,
        worse="below",
    ),
    Measure(
        name="crop shift",
        unit="sides",
        meaning="jitter: median motion of the crop's centre from frame to frame, in "
        "sides of the crop",
        limit=0.05,
    ),
    Measure(
        name="crop zoom",
        unit="sides",
        meaning="jitter: median change of the crop's side from frame to frame, in "
        "sides of the crop",
        limit=0.05,
    ),
    Measure(
        name="crop jump",
        unit="sides",
        meaning="largest motion of centre and side together between two frames: "
        "another person, or a cut",
        limit=0.25,
    ),
    Measure(
        name="loudness",
        unit="dB",
        meaning="root mean square of the sound, full scale is 0",
        limit=-45.0,
        worse="below",
    ),
    Measure(
        name="silence",
        unit="",
        meaning="share of 20 ms blocks of sound below -60 dB full scale",
        limit=0.5,
    ),
    Measure(
        name="decode errors",
        unit="packets",
        meaning="damaged packets passed over",
        limit=0.0,
    ),
)
CROP_MEASURES = ("face score", "crop shift", "crop zoom", "crop jump")
"""Measures of arrays; the others are of columns."""
Values = Mapping[str, Float64[np.ndarray, " clip"]]
"""By name of the measure, NaN where unknown."""


def column_measures(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Measure every clip by its columns; NaN for clips that failed."""

    def known(name: str) -> NDArray[Any]:
        """Give a column as floats, NaN where it is -1 for unknown."""
        column = columns[name]
        values = column.astype(np.float64)
        return (
            np.where(values < 0, np.nan, values) if column.dtype.kind == "i" else values
        )

    searched = known("faces_searched")
    found = {
        "duration": known("stop_s") - known("start_s"),
        "clamped": known("clamped"),
        "A/V offset": known("picture_start_s") - known("sound_start_s"),
        "face share": np.divide(
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
    return {name: np.where(failed, np.nan, values) for name, values in found.items()}


def crop_measures(
    boxes_px: Float64[np.ndarray, "frame 4"], scores: Float64[np.ndarray, " frame"]
) -> dict[str, float]:
    """Measure the crop of one clip.

    Args:
        boxes_px: Left, top, right, bottom of the crop taken, by frame.
        scores: Of the detector, NaN where no face was found.

    Returns:
        By name of the measure, those of `OF_CROP`; NaN where there is no crop.
    """
    centre = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    side = boxes_px[:, 2] - boxes_px[:, 0]
    if not (side > 0).all():
        return dict.fromkeys(CROP_MEASURES, np.nan)
    between = (side[1:] + side[:-1]) / 2
    shift = np.linalg.norm(np.diff(centre, axis=0), axis=1) / between
    zoom = np.abs(np.diff(side)) / between
    seen = scores[np.isfinite(scores)]
    return {
        "face score": float(np.median(seen)) if len(seen) else np.nan,
        "crop shift": float(np.median(shift)),
        "crop zoom": float(np.median(zoom)),
        "crop jump": float((shift + zoom).max()),
    }


def beyond(measure: Measure, values: Float64[np.ndarray, " clip"]) -> NDArray[Any]:
    """Tell which clips are beyond the limit of a measure."""
    flags: Bool[np.ndarray, " clip"] = measure.excess(values) > 0
    return flags


def beyond_any(values: Values) -> NDArray[Any]:
    """Tell which clips are beyond the limit of at least one measure."""
    flags = [beyond(m, values[m.name]) for m in MEASURES if m.name in values]
    return np.asarray(np.any(flags, axis=0))


def badness(
    measure: Measure, values: Float64[np.ndarray, " clip"]
) -> Float64[np.ndarray, " clip"]:
    """Rank clips by one measure.

    Returns:
        The share of the measured clips that are strictly better; 0 for a clip within
        the limit or not measured.
    """
    excess = measure.excess(values)
    order = np.sort(excess[~np.isnan(excess)])
    better = np.searchsorted(order, excess, side="left") / max(len(order), 1)
    return np.where(excess > 0, better, 0.0)


def worst_first(status: NDArray[Any], values: Values, *, count: int) -> list[int]:
    """Choose the clips that a person should look at first.

    Clips that are not ok come first, in the order failed, no_video, no_audio, no_face,
    but take at most half of the places while clips that are ok wait for them. These
    follow by their largest `badness`, then by the sum of all, then in their order.

    Args:
        status: Of every clip.
        values: What was measured.
        count: How many at most.

    Returns:
        Rows, the worst first; fewer than `count` where no more clip is beyond a limit.
    """
    severity = np.array([STATUSES.index(s) for s in status])
    bad = np.stack([badness(m, values[m.name]) for m in MEASURES if m.name in values])
    largest, total = bad.max(axis=0), bad.sum(axis=0)
    order = np.lexsort((-total, -largest, -severity))
    odd_one = beyond_any(values)
    broken = [int(row) for row in order if severity[row]]
    odd = [int(row) for row in order if odd_one[row] and not severity[row]]
    room = max(count - len(odd), count - count // 2)
    taken = broken[:room]
    return taken + odd[: count - len(taken)]


def ordinary_clips(
    status: NDArray[Any], values: Values, *, count: int, seed: int
) -> list[int]:
    """Draw some of the clips that are ok and beyond no limit, in their order."""
    rows = np.flatnonzero((status == "ok") & ~beyond_any(values))
    drawn = np.random.default_rng(seed).permutation(rows)[:count]
    return sorted(int(row) for row in drawn)
