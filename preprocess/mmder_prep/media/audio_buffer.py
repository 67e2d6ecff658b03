"""Decoded audio blocks placed on the clock: one channel, gaps filled with zeros."""

import librosa
import numpy as np
from jaxtyping import Float32, Shaped

GAP_S = 0.04
"""Minimum difference of a time stamp from the sample count that counts as a gap. A
smaller difference is the rounding of containers that count in milliseconds."""
SILENCE_DB = -60.0
"""Level below the noise of any room in which speech was recorded."""


class AudioBuffer:
    """A continuous stretch of one channel that grows block by block."""

    def __init__(self, rate_hz: int) -> None:
        """Create an empty buffer."""
        self.rate_hz = rate_hz
        self.first_s = np.nan
        """Time of the first sample in the buffer."""
        self._blocks: list[Float32[np.ndarray, " time"]] = []
        self._num_samples = 0

    @property
    def empty(self) -> bool:
        """True if the buffer contains no samples."""
        return self._num_samples == 0

    @property
    def seconds(self) -> float:
        """Duration of the buffered audio."""
        return self._num_samples / self.rate_hz

    @property
    def next_s(self) -> float:
        """Time of the sample after the last one in the buffer."""
        return self.first_s + self.seconds

    def add(self, stamp_s: float, block: Float32[np.ndarray, " time"]) -> None:
        """Append a block.

        Args:
            stamp_s: Time of its first sample, NaN if the file has no time stamp.
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
        self._num_samples += len(block)

    def drop_before(self, low_s: float) -> None:
        """Remove whole blocks that end before a time."""
        while (
            self._blocks and self.first_s + len(self._blocks[0]) / self.rate_hz < low_s
        ):
            removed = len(self._blocks.pop(0))
            self.first_s += removed / self.rate_hz
            self._num_samples -= removed

    def resample(
        self, rate_hz: int, *, low_s: float, high_s: float
    ) -> tuple[Float32[np.ndarray, " time"], float]:
        """Return the audio within bounds at another sample rate, and its start time.

        Samples outside the bounds count as silence, also for the resampling filter.
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


def level(audio: Float32[np.ndarray, " time"], rate_hz: int) -> tuple[float, float]:
    """Return the level of the audio, and the fraction of it that is silent.

    Returns:
        Root mean square in dB relative to full scale, and the fraction of its 20 ms
        blocks below `SILENCE_DB`. Both are NaN if there is no audio.
    """
    if not len(audio):
        return np.nan, np.nan
    size = rate_hz // 50
    padded = np.pad(audio, (0, -len(audio) % size)).reshape(-1, size)
    power = np.square(padded, dtype=np.float64).mean(axis=1)
    with np.errstate(divide="ignore"):
        blocks_db = 10 * np.log10(power)
        whole_db = 10 * np.log10(np.square(audio, dtype=np.float64).mean())
    return float(whole_db), float((blocks_db < SILENCE_DB).mean())


def mix(
    samples: Shaped[np.ndarray, "row sample"],
    *,
    channels: int,
    planar: bool,
) -> Float32[np.ndarray, " time"]:
    """Average the channels of a decoded block, scaled to [-1, 1].

    Args:
        samples: Decoder output: (channel, time), or interleaved in one row.
        channels: Number of channels.
        planar: True for (channel, time), false for interleaved.
    """
    rows = samples if planar else samples.reshape(-1, channels).T
    if rows.dtype == np.uint8:
        rows = rows.astype(np.float32) / 128 - 1
    elif rows.dtype.kind == "i":
        rows = rows / np.float32(-float(np.iinfo(rows.dtype).min))
    total = np.add.reduce(rows, axis=0, dtype=np.float32)  # mean() takes twice as long
    return np.asarray(total / np.float32(len(rows)))
