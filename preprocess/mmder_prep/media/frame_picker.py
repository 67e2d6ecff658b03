"""Selection of the frame that is on screen at each target time."""

from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float64

from mmder_prep.timeline import takes_over_s

Frame = TypeVar("Frame")


class FramePicker(Generic[Frame]):
    """Receives frames in the order of their times and keeps one per target time."""

    def __init__(
        self, target_times_s: Float64[np.ndarray, " frame"], *, stop_s: float = np.inf
    ) -> None:
        """Create a picker that has seen no frame.

        Args:
            target_times_s: Target times in ascending order.
            stop_s: End of the clip; frames from this time on are not part of it.
        """
        self.target_times_s = target_times_s
        self.stop_s = stop_s
        self.picked: list[tuple[float, Frame]] = []
        self.gaps_s: list[float] = []
        self.backward = 0
        """Number of frames that were ignored, since their time is not later."""
        self._current: tuple[float, Frame] | None = None

    @property
    def empty(self) -> bool:
        """True if no frame was added."""
        return self._current is None

    @property
    def complete(self) -> bool:
        """True if every target time has its frame."""
        return len(self.picked) == len(self.target_times_s)

    def add(self, now_s: float, frame: Frame) -> bool:
        """Add the next frame and return whether no further frame is needed."""
        if now_s >= self.stop_s and self._current is not None:
            return True
        if self._current is not None:
            if now_s <= self._current[0]:  # the time stamps must not go backwards
                self.backward += 1
                return False
            self.gaps_s.append(now_s - self._current[0])
            until_s = takes_over_s(self._current[0], now_s)
            for target_s in self.target_times_s[len(self.picked) :]:
                if target_s >= until_s:
                    break
                self.picked.append(self._current)
        self._current = (now_s, frame)
        return self.complete

    def finish(self) -> tuple[list[Frame], Float64[np.ndarray, " frame"], int]:
        """Return the picked frames, their times, and the number of clamped ones.

        A frame is clamped if it repeats the last frame for a target time after the
        end of the clip.

        Raises:
            ValueError: If no frame was added.
        """
        if self._current is None:
            msg = "no frame was added"
            raise ValueError(msg)
        left = self.target_times_s[len(self.picked) :]
        end_s = min(self._current[0] + self.gap_s, self.stop_s)
        picked = self.picked + [self._current] * len(left)
        times_s = np.array([time_s for time_s, _ in picked])
        # A single frame has no duration.
        clamped = (left >= end_s) & (left > self._current[0])
        return [f for _, f in picked], times_s, int(clamped.sum())

    @property
    def gap_s(self) -> float:
        """Median time between two frames, 0 if there is only one frame."""
        return float(np.median(self.gaps_s)) if self.gaps_s else 0.0
