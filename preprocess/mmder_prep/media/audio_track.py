"""Audio of a file: stretches of one sampling rate each, on one clock."""

import numpy as np
from jaxtyping import Float32

from mmder_prep.media.audio_buffer import GAP_S, AudioBuffer

RESTART_S = 0.5
"""Time by which stamps go back if a file was joined from several. A smaller step back
is an overlap."""
MIN_NOTED_S = 0.005
"""Minimum duration of missing or repeated audio that is noted."""


class AudioTrack:
    """Audio that grows block by block; its sampling rate may change."""

    def __init__(self) -> None:
        """Create an empty track."""
        self._stretches: list[AudioBuffer] = []
        self._shift_s = 0.0
        """Time to add to the stamps, after they have started again."""
        self._restarts = 0

    @property
    def empty(self) -> bool:
        """True if the track contains no samples."""
        return all(stretch.empty for stretch in self._stretches)

    @property
    def first_s(self) -> float:
        """Time of the first sample, NaN if nothing was added."""
        return self._stretches[0].first_s if self._stretches else np.nan

    @property
    def next_s(self) -> float:
        """Time of the sample after the last one, NaN if nothing was added."""
        return self._stretches[-1].next_s if self._stretches else np.nan

    @property
    def num_samples(self) -> int:
        """Number of buffered samples of all sides."""
        return round(sum(s.seconds * s.rate_hz * s.sides for s in self._stretches))

    @property
    def seconds(self) -> float:
        """Duration of the buffered audio."""
        return sum(stretch.seconds for stretch in self._stretches)

    def add(
        self,
        stamp_s: float,
        sides: Float32[np.ndarray, "side time"],
        *,
        rate_hz: int,
        surround: bool = False,
    ) -> None:
        """Append a block.

        Args:
            stamp_s: Time of its first sample, NaN if the file has no usable time stamp.
            sides: One or two rows.
            rate_hz: Sampling rate of the block.
            surround: True if the sides are sums of more than two channels.
        """
        stamp_s += self._shift_s
        if not self.empty and stamp_s < self.next_s - RESTART_S:
            self._shift_s += self.next_s - stamp_s
            self._restarts += 1
            stamp_s = self.next_s
        key = (rate_hz, len(sides), surround)
        last = self._stretches[-1] if self._stretches else None
        if last is None or key != (last.rate_hz, last.sides, last.surround):
            new = AudioBuffer(rate_hz, sides=len(sides), surround=surround)
            if last is not None:
                close = np.isnan(stamp_s) or abs(stamp_s - last.next_s) <= GAP_S
                stamp_s = last.next_s if close else max(stamp_s, last.next_s)
            self._stretches.append(new)
        self._stretches[-1].add(stamp_s, sides)

    def continue_from(self, other: "AudioTrack") -> None:
        """Shift stamps by as much as another track of the same file."""
        self._shift_s = other._shift_s

    def shifted(self, stamp_s: float) -> float:
        """Return a stamp of the file on the clock of the track."""
        return stamp_s + self._shift_s

    def drop_before(self, low_s: float) -> None:
        """Remove whole blocks that end before a time."""
        while len(self._stretches) > 1 and self._stretches[0].next_s < low_s:
            self._stretches.pop(0)
        for stretch in self._stretches:
            stretch.drop_before(low_s)

    def resample(
        self, rate_hz: int, *, low_s: float, high_s: float
    ) -> tuple[Float32[np.ndarray, " time"], float, list[str]]:
        """Return the audio within bounds, in one channel at one rate.

        Returns:
            The audio, its start time, and notes on what was unusual.
        """
        parts, notes = [], []
        for stretch in self._stretches:
            part, first_s, note = stretch.resample(rate_hz, low_s=low_s, high_s=high_s)
            if len(part):
                parts.append((part, first_s))
                notes += [note] if note and note not in notes else []
        notes += self._notes()
        if not parts:
            return np.zeros(0, dtype=np.float32), 0.0, notes
        begin_s = parts[0][1]
        joined = parts[0][0]
        for part, first_s in parts[1:]:
            at = max(len(joined), round((first_s - begin_s) * rate_hz))
            joined = np.concatenate([np.pad(joined, (0, at - len(joined))), part])
        return joined, begin_s, notes

    def _notes(self) -> list[str]:
        notes = []
        rates = list(dict.fromkeys(s.rate_hz for s in self._stretches))
        if len(rates) > 1:
            names = " to ".join(str(rate) for rate in rates)
            notes.append(f"audio changes from {names} Hz; each part is resampled")
        if self._restarts:
            notes.append(
                f"audio time stamps start again {self._restarts} times; the parts are "
                "joined"
            )
        filled_s = sum(stretch.filled_s for stretch in self._stretches)
        if filled_s >= MIN_NOTED_S:
            notes.append(f"{filled_s:.3f} s of audio are missing; silence is inserted")
        cut_s = sum(stretch.cut_s for stretch in self._stretches)
        if cut_s >= MIN_NOTED_S:
            notes.append(f"{cut_s:.3f} s of audio overlap; the first is kept")
        return notes
