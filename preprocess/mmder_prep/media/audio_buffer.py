"""Decoded blocks of sound laid on the clock: one channel, gaps filled with zeros."""

import librosa
import numpy as np
from jaxtyping import Float32, Shaped

GAP_S = 0.04
"""A time stamp this far from where the samples say is a gap; nearer, it is the
rounding of containers that count in milliseconds."""
SILENCE_DB = -60.0
"""Quieter than the noise of any room that speech was recorded in."""


class AudioBuffer:
    """A stretch of one channel, grown block by block."""

    def __init__(self, rate_hz: int) -> None:
        """Begin with nothing."""
        self.rate_hz = rate_hz
        self.first_s = np.nan
        """Time of the first sample held."""
        self._blocks: list[Float32[np.ndarray, " time"]] = []
        self._held = 0

    @property
    def empty(self) -> bool:
        """Tell whether no sample is held."""
        return self._held == 0

    @property
    def seconds(self) -> float:
        """Length of what is held."""
        return self._held / self.rate_hz

    @property
    def next_s(self) -> float:
        """Time of the sample that would come next."""
        return self.first_s + self.seconds

    def add(self, stamp_s: float, block: Float32[np.ndarray, " time"]) -> None:
        """Lay a block down.

        Args:
            stamp_s: Time of its first sample, NaN where the file does not say.
            block: One channel.
        """
        if self.empty and not np.isnan(stamp_s):
            self.first_s = stamp_s
        elif np.isnan(self.first_s):
            self.first_s = 0.0
        gap_s = 0.0 if np.isnan(stamp_s) else stamp_s - self.next_s
        if abs(gap_s) > GAP_S:
            samples = round(abs(gap_s) * self.rate_hz)
            block = np.pad(block, (samples, 0)) if gap_s > 0 else block[samples:]
        self._blocks.append(block)
        self._held += len(block)

    def keep_from(self, low_s: float) -> None:
        """Let go of whole blocks that end before a time."""
        while (
            self._blocks and self.first_s + len(self._blocks[0]) / self.rate_hz < low_s
        ):
            gone = len(self._blocks.pop(0))
            self.first_s += gone / self.rate_hz
            self._held -= gone

    def resampled(
        self, rate_hz: int, *, low_s: float, high_s: float
    ) -> tuple[Float32[np.ndarray, " time"], float]:
        """Give the sound within bounds at another rate, and the time it starts.

        Outside the bounds there is silence, also for the filter of the resampler.
        """
        whole = np.concatenate([np.zeros(0, dtype=np.float32), *self._blocks])
        if not len(whole):
            return whole, 0.0
        start = max(0, int(np.ceil((low_s - self.first_s) * self.rate_hz - 1e-6)))
        stop = max(
            start,
            int(
                np.ceil((min(high_s, self.next_s) - self.first_s) * self.rate_hz - 1e-6)
            ),
        )
        part = np.nan_to_num(whole[start:stop], nan=0.0, posinf=0.0, neginf=0.0)
        first_s = self.first_s + start / self.rate_hz
        if self.rate_hz == rate_hz or not len(part):
            return part, first_s
        out = librosa.resample(part, orig_sr=self.rate_hz, target_sr=rate_hz)
        return out.astype(np.float32), first_s


def level(sound: Float32[np.ndarray, " time"], rate_hz: int) -> tuple[float, float]:
    """Give the level of a sound, and how much of it is silence.

    Returns:
        Root mean square in dB, where 0 is full scale; and the share of its blocks of
        20 ms that lie below `SILENCE_DB`. NaN and NaN where there is no sound.
    """
    if not len(sound):
        return np.nan, np.nan
    size = rate_hz // 50
    padded = np.pad(sound, (0, -len(sound) % size)).reshape(-1, size)
    power = np.square(padded, dtype=np.float64).mean(axis=1)
    with np.errstate(divide="ignore"):
        blocks_db = 10 * np.log10(power)
        whole_db = 10 * np.log10(np.square(sound, dtype=np.float64).mean())
    return float(whole_db), float((blocks_db < SILENCE_DB).mean())


def mix(
    samples: Shaped[np.ndarray, "row sample"],
    *,
    channels: int,
    planar: bool,
) -> Float32[np.ndarray, " time"]:
    """Average the channels of a decoded block, scaled to [-1, 1].

    Args:
        samples: As the decoder gives them: (channel, time), or interleaved in one row.
        channels: How many there are.
        planar: Which of the two.
    """
    rows = samples if planar else samples.reshape(-1, channels).T
    if rows.dtype == np.uint8:
        rows = rows.astype(np.float32) / 128 - 1
    elif rows.dtype.kind == "i":
        rows = rows / np.float32(-float(np.iinfo(rows.dtype).min))
    total = np.add.reduce(rows, axis=0, dtype=np.float32)  # mean() takes twice as long
    return np.asarray(total / np.float32(len(rows)))
