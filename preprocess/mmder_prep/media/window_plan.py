"""Times of the windows that slide over a recording. Nothing here opens a file."""

import math
from dataclasses import dataclass

from mmder_prep.timeline import spread_step
from mmder_store.errors import SettingsError
from mmder_store.settings import FRAMES_16, PrepSettings

TOLERANCE_S = 0.05
"""Maximum time by which a recording may exceed a window that still counts as reaching
its end. Containers round the duration of the last frame."""
MIN_EVERY_S = 0.05
"""Minimum distance between two windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowPlan:
    """Times of the windows of a recording, in seconds from the start of the file."""

    every_s: float
    """Distance between the starts of two windows."""
    length_s: float
    """Length of each window."""
    step_s: float
    """Distance between two of the 16 frames of a window."""
    first_s: float = 0.0
    """Start of the first window."""
    stop_s: float = math.inf
    """End of the part that is covered; infinite for the end of the file."""

    def start_s(self, index: int) -> float:
        """Return the start of a window."""
        return self.first_s + index * self.every_s

    def index(self, start_s: float) -> int:
        """Return the index of a window from its start."""
        return round((start_s - self.first_s) / self.every_s)

    def has(self, index: int, end_s: float = math.inf) -> bool:
        """Return whether there is a window of an index.

        The first window that reaches the end is the last one.

        Args:
            index: Index of the window, from 0.
            end_s: End of the recording.
        """
        end_s = min(end_s, self.stop_s) - TOLERANCE_S
        last_s = self.start_s(index - 1) + self.length_s
        return index == 0 or (last_s < end_s and self.start_s(index) < end_s)


def plan_windows(
    settings: PrepSettings,
    *,
    every_s: float,
    length_s: float | None = None,
    first_s: float = 0.0,
    stop_s: float = math.inf,
) -> WindowPlan:
    """Return the times of the windows of a recording.

    A window is as long as the 16 frames and the audio of a clip: 16 steps.

    Args:
        settings: Preprocessing settings, which state the step.
        every_s: Distance between the starts of two windows.
        length_s: Length of a window, if the settings leave the step to the clip.
        first_s: Start of the first window.
        stop_s: End of the part that is covered.

    Raises:
        SettingsError: If the distance is too short, or the length is stated twice or
            not at all.
    """
    if not every_s >= MIN_EVERY_S or not math.isfinite(every_s):
        msg = f"--every {every_s:g}: expected {MIN_EVERY_S:g} s or more"
        raise SettingsError(msg)
    if settings.step_s is not None:
        if length_s is not None:
            msg = (
                f"--window {length_s:g}: the run's clips are "
                f"{FRAMES_16 * settings.step_s:g} s long. Leave it out."
            )
            raise SettingsError(msg)
        step_s, length_s = settings.step_s, FRAMES_16 * settings.step_s
    elif length_s is None:
        msg = (
            "--every: the run was trained with --step auto, on clips of different "
            "lengths. State the length of a window with --window SECONDS."
        )
        raise SettingsError(msg)
    else:
        if not length_s > 0 or not math.isfinite(length_s):
            msg = f"--window {length_s:g}: expected more than 0 s"
            raise SettingsError(msg)
        step_s = spread_step(length_s, settings)
    return WindowPlan(
        every_s=every_s,
        length_s=length_s,
        step_s=step_s,
        first_s=first_s,
        stop_s=stop_s,
    )
