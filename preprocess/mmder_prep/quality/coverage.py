"""Report of the clips that are longer than the time that their 16 frames cover."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from mmder_store.coverage import unused_seconds
from mmder_store.settings import FRAMES_16, PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Clips that are longer than the time that their frames cover."""

    clips: int
    """Number of clips with a known duration."""
    longer: int
    """Number of clips that are longer."""
    median_unused_s: float
    """Median of the unused time over the longer clips; NaN if there are none."""
    covered_s: float | None
    """Time that the frames cover; None if the step depends on the clip."""

    @property
    def line(self) -> str:
        """The numbers as a sentence. Empty if no clip is longer."""
        if not self.longer:
            return ""
        time = "the time" if self.covered_s is None else f"the {self.covered_s:.3g} s"
        return (
            f"{self.longer} of {self.clips} clips are longer than {time} that their "
            f"{FRAMES_16} frames cover (median of the unused end "
            f"{self.median_unused_s:.2f} s)"
        )

    @property
    def advice(self) -> str:
        """Sentence on how to use the rest. Empty if no clip is longer."""
        if not self.longer:
            return ""
        if self.covered_s is None:
            return (
                "To use the rest, list parts of each file with start_s and stop_s in a "
                "CSV file"
            )
        return (
            "To use the rest, pass --step auto (the frames are spread over each clip), "
            "or list several parts of each file with start_s and stop_s in a CSV file "
            "('mmder-prep manifest')"
        )


def unused_s(columns: Mapping[str, NDArray[Any]]) -> Float64[np.ndarray, " clip"]:
    """Return the time of each clip after the part that its 16 frames cover.

    Times that are too short to matter are 0. The result is NaN for failed clips and for
    clips of unknown duration.
    """
    unused = unused_seconds(columns["start_s"], columns["stop_s"], columns["step_s"])
    return np.where(columns["status"] == "failed", np.nan, unused)


def coverage(columns: Mapping[str, NDArray[Any]], settings: PrepSettings) -> Coverage:
    """Return how many clips of a store are longer than their frames cover."""
    unused = unused_s(columns)
    longer = unused[unused > 0]
    step_s = settings.step_s
    return Coverage(
        clips=int(np.isfinite(unused).sum()),
        longer=len(longer),
        median_unused_s=float(np.median(longer)) if len(longer) else np.nan,
        covered_s=None if step_s is None else FRAMES_16 * step_s,
    )
