"""Decoded audio blocks of one format placed on the clock, gaps filled with zeros."""

import librosa
import numpy as np
from jaxtyping import Float32

from mmder_prep.media.channel_mixing import mix_sides

GAP_S = 0.004
"""Minimum difference of a time stamp from the sample count that counts as a gap. A
smaller difference is the rounding of containers that count in milliseconds."""
SURE_GAP_S = 0.04
"""Difference from which a gap is certain. A smaller one counts if the next block
confirms it: the stamps of live recordings jitter, and a lost packet shifts all that
follow."""
SILENCE_DB = -60.0
"""Level below the noise of any room in which speech was recorded."""


class AudioBuffer:
    """A continuous stretch of audio that grows block by block."""

    def __init__(self, rate_hz: int, *, sides: int = 1, surround: bool = False) -> None:
        """Create an empty buffer.

        Args:
            rate_hz: Sampling rate of all blocks.
            sides: Number of rows of all blocks, 1 or 2.
            surround: True if the sides are sums of more than two channels.
        """
        self.rate_hz, self.sides, self.surround = rate_hz, sides, surround
        self.first_s = np.nan
        """Time of the first sample in the buffer."""
        self.filled_s = self.cut_s = 0.0
        """Duration of gaps that were filled, and of overlaps that were cut."""
        self._blocks: list[Float32[np.ndarray, "side time"]] = []
        self._num_samples = 0
        self._pending: tuple[float, Float32[np.ndarray, "side time"]] | None = None
        """A gap that is not confirmed, and the block after it."""

    @property
    def empty(self) -> bool:
        """True if the buffer contains no samples."""
        return self._num_samples == 0

    @property
    def seconds(self) -> float:
        """Duration of the buffered audio."""
        pending = self._pending[1].shape[1] if self._pending else 0
        return (self._num_samples + pending) / self.rate_hz

    @property
    def next_s(self) -> float:
        """Time of the sample after the last one in the buffer."""
        return self.first_s + self.seconds

    def add(self, stamp_s: float, block: Float32[np.ndarray, "side time"]) -> None:
        """Append a block.

        Args:
            stamp_s: Time of its first sample, NaN if the file has no time stamp.
            block: One row per side.
        """
        if self.empty and not np.isnan(stamp_s):
            self.first_s = stamp_s
        elif np.isnan(self.first_s):
            self.first_s = 0.0
        gap_s = 0.0 if np.isnan(stamp_s) else stamp_s - self.next_s
        if self._pending is not None:
            pending_s = self._pending[0]
            # If the next block is as far off, the shift stays.
            stays = gap_s * np.sign(pending_s) >= abs(pending_s) - GAP_S
            confirmed = bool(stays or np.isnan(stamp_s))
            placed_s = self._place_pending(confirmed=confirmed)
            gap_s -= placed_s if not np.isnan(stamp_s) else 0.0
        if GAP_S < abs(gap_s) <= SURE_GAP_S:
            self._pending = gap_s, block
        else:
            self._place(gap_s, block)

    def _place_pending(self, *, confirmed: bool) -> float:
        """Append the pending block and return the gap before it."""
        if self._pending is None:
            return 0.0
        gap_s, block = self._pending
        self._pending = None
        before = self._num_samples
        self._place(gap_s if confirmed else 0.0, block)
        added: int = self._num_samples - before - block.shape[1]
        return added / self.rate_hz

    def _place(self, gap_s: float, block: Float32[np.ndarray, "side time"]) -> None:
        """Append a block after a gap, or without the part that overlaps."""
        if abs(gap_s) > GAP_S:
            samples = round(abs(gap_s) * self.rate_hz)
            if gap_s > 0:
                block = np.pad(block, ((0, 0), (samples, 0)))
                self.filled_s += samples / self.rate_hz
            else:
                self.cut_s += min(samples, block.shape[1]) / self.rate_hz
                block = block[:, samples:]
        self._blocks.append(block)
        self._num_samples += block.shape[1]

    def drop_before(self, low_s: float) -> None:
        """Remove whole blocks that end before a time."""
        while (
            self._blocks
            and self.first_s + self._blocks[0].shape[1] / self.rate_hz < low_s
        ):
            removed = self._blocks.pop(0).shape[1]
            self.first_s += removed / self.rate_hz
            self._num_samples -= removed

    def resample(
        self, rate_hz: int, *, low_s: float, high_s: float
    ) -> tuple[Float32[np.ndarray, " time"], float, str]:
        """Return the audio within bounds, mixed to one channel at another rate.

        Samples outside the bounds count as silence, also for the resampling filter.

        Returns:
            The audio, its start time, and a note on the mix, which may be empty.
        """
        self._place_pending(confirmed=True)
        nothing = np.zeros((self.sides, 0), dtype=np.float32)
        whole = np.concatenate([nothing, *self._blocks], axis=1)
        if not whole.shape[1]:
            return whole[0], 0.0, ""
        start = max(0, int(np.ceil((low_s - self.first_s) * self.rate_hz - 1e-6)))
        stop = max(
            start,
            int(
                np.ceil((min(high_s, self.next_s) - self.first_s) * self.rate_hz - 1e-6)
            ),
        )
        sides = np.nan_to_num(whole[:, start:stop], nan=0.0, posinf=0.0, neginf=0.0)
        part, note = mix_sides(sides, surround=self.surround)
        first_s = self.first_s + start / self.rate_hz
        if self.rate_hz == rate_hz or not len(part):
            return part, first_s, note
        out = librosa.resample(part, orig_sr=self.rate_hz, target_sr=rate_hz)
        return out.astype(np.float32), first_s, note


def level_db(audio: Float32[np.ndarray, " time"]) -> float:
    """Return the root mean square in dB of full scale, NaN if there is no audio."""
    if not len(audio):
        return np.nan
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.square(audio, dtype=np.float64).mean()))


def silent_fraction(audio: Float32[np.ndarray, " time"], rate_hz: int) -> float:
    """Return the fraction of 20 ms blocks below `SILENCE_DB`, NaN without audio."""
    if not len(audio):
        return np.nan
    size = rate_hz // 50
    padded = np.pad(audio, (0, -len(audio) % size)).reshape(-1, size)
    power = np.square(padded, dtype=np.float64).mean(axis=1)
    with np.errstate(divide="ignore"):
        return float((10 * np.log10(power) < SILENCE_DB).mean())


def clip_audio(
    audio: Float32[np.ndarray, " time"],
    rate_hz: int,
    *,
    first_s: float,
    bounds_s: tuple[float, float],
) -> tuple[Float32[np.ndarray, " clip"], float]:
    """Return the audio between bounds, zeros where it is missing.

    Args:
        audio: One channel.
        rate_hz: Its sampling rate.
        first_s: Time of its first sample.
        bounds_s: Start and end of the clip.

    Returns:
        The audio of the clip, and the duration for which there is audio.
    """
    length = max(0, round((bounds_s[1] - bounds_s[0]) * rate_hz))
    whole = np.zeros(length, dtype=np.float32)
    at = round((first_s - bounds_s[0]) * rate_hz)
    part = audio[max(0, -at) : max(0, length - at)]
    whole[max(0, at) : max(0, at) + len(part)] = part
    return whole, len(part) / rate_hz
