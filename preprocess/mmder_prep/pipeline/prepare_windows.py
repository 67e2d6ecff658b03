"""Preparation of the windows of a long recording, each as a clip of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mmder_prep.media.clip import Clip
from mmder_prep.media.types import DecodedWindow
from mmder_prep.media.window_decoder import read_windows
from mmder_prep.media.window_plan import WindowPlan
from mmder_prep.pipeline.prepare_clip import ClipRow, empty_row, prepare_decoded
from mmder_store.settings import PrepSettings

MIN_SHORT_S = 0.05
"""Minimum time that the last window lacks for it to be reported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowRow:
    """A prepared window of a recording."""

    start_s: float
    """Start on the clock of the file."""
    stop_s: float
    """End of the window, or of the recording if that is earlier."""
    row: ClipRow
    """The window, prepared as a clip."""


def prepare_windows(
    clip: Clip, settings: PrepSettings, plan: WindowPlan, *, device: str
) -> Iterator[WindowRow]:
    """Yield the prepared windows of a recording, in order.

    A window equals a clip with the start and the stop of the window. Faces are
    searched in each window separately.

    Args:
        clip: The recording. Its segment is part of the plan.
        settings: Preprocessing settings.
        plan: Times of the windows.
        device: Torch device of face detection.

    Raises:
        MediaError: If the recording cannot be decoded.
    """
    for window in read_windows(clip.source, settings, plan):
        if window.decoded is None:
            row = ClipRow(
                arrays=empty_row(settings),
                status="failed",
                reason=window.problem,
                facts={},
            )
        else:
            row = prepare_decoded(window.decoded, clip, settings, device=device)
        reason = "; ".join(filter(None, [_shortness(window), row.reason]))
        yield WindowRow(
            start_s=window.start_s,
            stop_s=window.end_s,
            row=replace(row, reason=reason),
        )


def _shortness(window: DecodedWindow) -> str:
    """Return a note if the recording ends in the window, else an empty text."""
    length_s, present_s = window.stop_s - window.start_s, window.end_s - window.start_s
    if length_s - present_s < MIN_SHORT_S:
        return ""
    return (
        f"the recording ends after {present_s:.2f} of the window's {length_s:.2f} s; "
        "the last frame is repeated, followed by silence"
    )
