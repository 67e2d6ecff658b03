"""Which clips show or sound the same: small prints of the stored arrays, compared.

A print keeps what is of one take and of no other. Of a picture: what moves, as grey
squares minus their mean over the clip, since the same person in the same place is
otherwise like herself in every take. Of a sound: how loud each band of speech is
against the others of its moment and against itself, near the clip's loudest. Two
prints are compared by their correlation.

Measured with the thresholds below, copies against other takes:

- Sound: 1,200 takes of 20 speakers of RAVDESS, where each sentence is spoken twice in
  each way, all 719,400 pairs; 100 copies each as MP3 (64 and 24 kb/s), AAC (64) and
  Opus (32). Copies are at least 0.97 alike, other takes at most 0.85; with half the
  step 0.94 and 0.90; with the steps spread 0.96 and 0.88, but for MP3s whose length
  is another (down to 0.67). The one take that these files hold twice,
  03-01-03-01-02-01-07 and 03-01-03-01-02-02-07, is 1.00 alike.
- Picture: 19 real clips, 14 of them of four corpora, encoded anew as H.264 of two
  qualities and of half the size, and as MPEG-4. Copies are at least 0.81 alike but
  for one of ten pictures a second (0.39, its face was found elsewhere); other clips at
  most 0.45, other takes of one sentence by one speaker 0.36, other parts of the same
  take 0.73.

A copy whose sound is shifted by 10 ms or more, or whose crop is another, is not found.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float16, Float32, UInt8

from mmder_store.settings import PrepSettings

VIDEO_CORRELATION = 0.8
AUDIO_CORRELATION = 0.92
SQUARES = 16
"""Squares along each side of a picture's print."""
STILL = 0.5
"""Grey levels; a picture that changes less is still, and only noise is left of it."""
SPEECH_HZ = (94.0, 4094.0)
"""Codecs of any rate keep this band."""
BAND_BINS = 4
RANGE_DB = 40.0
"""What is quieter than this under the loudest of the clip, codecs change."""
MIN_SOUNDING = 10
"""Columns of a print, 0.2 s at the paper's step: less is no sound to compare."""
BLOCK = 1024

Fingerprint = Float32[np.ndarray, " cell"]


def video_fingerprint(frames: UInt8[np.ndarray, "frame y x rgb"]) -> Fingerprint | None:
    """Give the print of a clip's crops, None where nothing in them moves."""
    count, side = frames.shape[:2]
    edge = side // SQUARES
    squares = frames.reshape(count, SQUARES, edge, SQUARES, edge, 3)
    grey = squares.mean(axis=(2, 4, 5), dtype=np.float32)
    moved = grey - grey.mean(axis=0)
    return _unit(moved) if moved.std() > STILL else None


def audio_fingerprint(
    stft: Float16[np.ndarray, "window frequency time"], settings: PrepSettings
) -> Fingerprint | None:
    """Give the print of a clip's 16 sound windows, None where they hold no sound."""
    bin_hz = settings.sample_rate_hz / settings.fft_samples
    low, high = (round(edge_hz / bin_hz) for edge_hz in SPEECH_HZ)
    bands, group = (high - low) // BAND_BINS, max(2, stft.shape[2] // 20)
    times = stft.shape[2] // group
    # Every second window: together they hold all of the sound, once.
    loud = stft[::2, low : low + bands * BAND_BINS, : times * group].astype(np.float32)
    floor = stft.max().astype(np.float32) - RANGE_DB
    pooled = np.maximum(loud - floor, 0).reshape(-1, bands, BAND_BINS, times, group)
    columns = pooled.mean(axis=(2, 4)).transpose(0, 2, 1).reshape(-1, bands)
    sounding = columns[columns.max(axis=1) > 0]
    shape = np.zeros_like(columns)
    if len(sounding) >= MIN_SOUNDING:
        sounding = sounding - sounding.mean(axis=1, keepdims=True)
        shape[columns.max(axis=1) > 0] = sounding - sounding.mean(axis=0)
    # Where all is equally loud there is nothing, however loud: a row never filled.
    return _unit(shape) if shape.any() else None


def _unit(print_: Float32[np.ndarray, "..."]) -> Fingerprint:
    flat = print_.reshape(-1)
    return np.asarray(flat / np.linalg.norm(flat), dtype=np.float32)


def correlated_pairs(
    prints: Sequence[Fingerprint | None], threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of places whose prints correlate by at least a threshold.

    Products of blocks: no memory for the square of the clips, and five seconds for
    ten thousand of them on one core.
    """
    there = {place: p for place, p in enumerate(prints) if p is not None}
    if not there:
        return
    places, rows = list(there), np.stack(list(there.values()))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        for other in range(start, len(rows), BLOCK):
            found = np.argwhere(block @ rows[other : other + BLOCK].T >= threshold)
            for i, j in found:
                if start + i < other + j:
                    yield places[start + i], places[other + j]
