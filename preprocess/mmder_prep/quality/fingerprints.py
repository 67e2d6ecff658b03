"""Fingerprints of the stored arrays, to find re-encoded copies of a clip.

A fingerprint keeps what is specific to one recording. The video fingerprint keeps the
motion: gray squares minus their mean over the clip, because the same person in the same
position looks almost the same in every recording. The audio fingerprint keeps the
level of each speech band relative to the other bands at that time and to its own mean,
near the loudest parts of the clip. Two fingerprints are compared by their correlation.

Measured with the thresholds below, copies against other recordings:

- Audio: 1,200 clips of 20 speakers of RAVDESS, in which each sentence is spoken twice
  in each way, all 719,400 pairs; and 100 copies each as MP3 (64 and 24 kb/s), AAC (64)
  and Opus (32). The correlation of copies is at least 0.97, that of other recordings at
  most 0.85. With half the step it is 0.94 and 0.90. With the automatic step it is 0.96
  and 0.88, except for MP3 files whose length changed (down to 0.67). One recording is
  in these files twice, 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07, with a
  correlation of 1.00.
- Video: 19 real clips, 14 of them from four corpora, re-encoded as H.264 at two
  qualities and at half the size, and as MPEG-4. The correlation of copies is at least
  0.81, except for a clip with ten frames per second (0.39, because its face was found
  at another position). It is at most 0.45 for other clips, 0.36 for other recordings of
  one sentence by one speaker, and 0.73 for other parts of the same recording.

Copies whose audio is shifted by 10 ms or more, or whose crop differs, are not found.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float16, Float32, UInt8

from mmder_store.settings import PrepSettings

VIDEO_CORRELATION = 0.8
"""Minimum correlation of two video fingerprints for a match."""
AUDIO_CORRELATION = 0.92
"""Minimum correlation of two audio fingerprints for a match."""
SQUARES = 16
"""Number of squares along each side of a video fingerprint."""
MIN_MOTION_STD = 0.5
"""Minimum standard deviation of the motion, in gray levels. Below it only noise is
left."""
SPEECH_HZ = (94.0, 4094.0)
"""Frequency band that codecs keep at every bit rate."""
BAND_BINS = 4
"""Number of frequency bins per band."""
RANGE_DB = 40.0
"""Range below the loudest value of the clip; codecs change anything quieter."""
MIN_AUDIBLE_COLUMNS = 10
"""Minimum number of audible columns, 0.2 s at the paper's step."""
BLOCK = 1024
"""Number of fingerprints per matrix product."""

Fingerprint = Float32[np.ndarray, " cell"]


def video_fingerprint(frames: UInt8[np.ndarray, "frame y x rgb"]) -> Fingerprint | None:
    """Return the fingerprint of the face crops, None if nothing in them moves."""
    count, side = frames.shape[:2]
    edge = side // SQUARES
    squares = frames.reshape(count, SQUARES, edge, SQUARES, edge, 3)
    gray = squares.mean(axis=(2, 4, 5), dtype=np.float32)
    motion = gray - gray.mean(axis=0)
    return _unit(motion) if motion.std() > MIN_MOTION_STD else None


def audio_fingerprint(
    stft: Float16[np.ndarray, "window frequency time"], settings: PrepSettings
) -> Fingerprint | None:
    """Return the fingerprint of the 16 audio windows, None if they are silent."""
    bin_hz = settings.sample_rate_hz / settings.fft_samples
    low, high = (round(edge_hz / bin_hz) for edge_hz in SPEECH_HZ)
    bands, group = (high - low) // BAND_BINS, max(2, stft.shape[2] // 20)
    times = stft.shape[2] // group
    # Every second window: together they cover the audio exactly once.
    level = stft[::2, low : low + bands * BAND_BINS, : times * group].astype(np.float32)
    floor = stft.max().astype(np.float32) - RANGE_DB
    pooled = np.maximum(level - floor, 0).reshape(-1, bands, BAND_BINS, times, group)
    columns = pooled.mean(axis=(2, 4)).transpose(0, 2, 1).reshape(-1, bands)
    audible = columns[columns.max(axis=1) > 0]
    shape = np.zeros_like(columns)
    if len(audible) >= MIN_AUDIBLE_COLUMNS:
        audible = audible - audible.mean(axis=1, keepdims=True)
        shape[columns.max(axis=1) > 0] = audible - audible.mean(axis=0)
    # Constant levels leave only zeros, however loud they are (an unwritten row).
    return _unit(shape) if shape.any() else None


def _unit(cells: Float32[np.ndarray, "..."]) -> Fingerprint:
    """Return an array as a vector of length 1."""
    flat = cells.reshape(-1)
    return np.asarray(flat / np.linalg.norm(flat), dtype=np.float32)


def correlated_pairs(
    fingerprints: Sequence[Fingerprint | None], threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield the index pairs whose fingerprints correlate by at least a threshold.

    Block-wise products avoid a matrix of all pairs. Ten thousand clips take five
    seconds on one core.
    """
    present = {i: f for i, f in enumerate(fingerprints) if f is not None}
    if not present:
        return
    indices, matrix = list(present), np.stack(list(present.values()))
    for start in range(0, len(matrix), BLOCK):
        block = matrix[start : start + BLOCK]
        for other in range(start, len(matrix), BLOCK):
            pairs = np.argwhere(block @ matrix[other : other + BLOCK].T >= threshold)
            for i, j in pairs:
                if start + i < other + j:
                    yield indices[start + i], indices[other + j]
