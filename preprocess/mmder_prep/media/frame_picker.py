"""Which decoded frame is taken at each instant: time stamps in, a choice out."""

from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float64

from mmder_prep.timeline import takes_over_s

Frame = TypeVar("Frame")


class FramePicker(Generic[Frame]):
    """Takes frames in the order of their times and keeps one for every instant."""

    def __init__(
        self, wanted_s: Float64[np.ndarray, " frame"], *, stop_s: float = np.inf
    ) -> None:
        """Begin.

        Args:
            wanted_s: Instants, ascending.
            stop_s: End of the clip: frames from there on are not part of it.
        """
        self.target_times_s = wanted_s
        self.stop_s = stop_s
        self.taken: list[tuple[float, Frame]] = []
        self.gaps_s: list[float] = []
        self._shown: tuple[float, Frame] | None = None

    @property
    def empty(self) -> bool:
        """Tell whether no frame was seen."""
        return self._shown is None

    @property
    def complete(self) -> bool:
        """Tell whether all instants have their frame."""
        return len(self.taken) == len(self.target_times_s)

    def add(self, now_s: float, frame: Frame) -> bool:
        """Take in the next frame; tell whether all instants are served."""
        if now_s >= self.stop_s and self._shown is not None:
            return True
        if self._shown is not None:
            if now_s <= self._shown[0]:  # a stamp that goes back shows nothing new
                return False
            self.gaps_s.append(now_s - self._shown[0])
            until_s = takes_over_s(self._shown[0], now_s)
            for instant in self.target_times_s[len(self.taken) :]:
                if instant >= until_s:
                    break
                self.taken.append(self._shown)
        self._shown = (now_s, frame)
        return self.complete

    def finish(self) -> tuple[list[Frame], Float64[np.ndarray, " frame"], int]:
        """Give frames, their times, and how many repeat the last since the clip ended.

        Raises:
            ValueError: If no frame was seen.
        """
        if self._shown is None:
            msg = "no frame was seen"
            raise ValueError(msg)
        left = self.target_times_s[len(self.taken) :]
        end_s = min(self._shown[0] + self.gap_s, self.stop_s)
        taken = self.taken + [self._shown] * len(left)
        times_s = np.array([time_s for time_s, _ in taken])
        over = (left >= end_s) & (left > self._shown[0])  # one frame has no length
        return [f for _, f in taken], times_s, int(over.sum())

    @property
    def gap_s(self) -> float:
        """Median time from one frame to the next, 0 where there is only one."""
        return float(np.median(self.gaps_s)) if self.gaps_s else 0.0
