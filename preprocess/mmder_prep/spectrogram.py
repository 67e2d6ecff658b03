"""Audio windows to spectrograms: the windows are cut first, then transformed at once.

Nothing here opens a file. Audio is float32 in [-1, 1] at the sample rate of the
settings.
"""

import librosa
import numpy as np
from jaxtyping import Float16, Float32, Float64

from mmder_store.settings import PrepSettings

FLOOR_POWER = 1e-10
"""Lower bound of the power: -100 dB. Anything quieter counts as silence."""


def cut(
    audio: Float32[np.ndarray, " time"],
    *,
    first_s: float,
    bounds_s: Float64[np.ndarray, "window 2"],
    sample_rate_hz: int,
) -> Float32[np.ndarray, "window sample"]:
    """Cut windows of equal length out of the audio; samples outside of it are zero.

    Args:
        audio: One channel.
        first_s: Time of its first sample.
        bounds_s: Half-open bounds; all windows must have the same length.
        sample_rate_hz: Samples per second.

    >>> x = np.arange(1, 6, dtype=np.float32)
    >>> cut(x, first_s=0.0, bounds_s=np.array([[-2.0, 2.0], [3.0, 7.0]]),
    ...     sample_rate_hz=1)
    array([[0., 0., 1., 2.],
           [4., 5., 0., 0.]], dtype=float32)
    """
    samples = round(float(bounds_s[0, 1] - bounds_s[0, 0]) * sample_rate_hz)
    starts = np.rint((bounds_s[:, 0] - first_s) * sample_rate_hz).astype(np.int64)
    index = starts[:, None] + np.arange(samples)
    inside = (index >= 0) & (index < len(audio))
    windows = np.zeros(index.shape, dtype=np.float32)
    windows[inside] = audio[index[inside]]
    return windows


def spectrograms(
    windows: Float32[np.ndarray, "window sample"],
    settings: PrepSettings,
    *,
    grid: tuple[int, int],
) -> tuple[
    Float16[np.ndarray, "window frequency time"],
    Float16[np.ndarray, "window coefficient time"],
]:
    """Compute the log-magnitude STFT and the MFCC of each window, both in dB.

    Paper: IV-B1, "to perform STFT and MFCC", without a parameter. Ours: 25 ms Hann
    windows every 10 ms, the first centered on the window's start and the last on its
    end, zeros beyond; 40 coefficients of 64 mel bands, orthonormal, no lifter. No
    value is relative to another window, so equal audio yields equal numbers.

    Args:
        windows: Audio, one row per window.
        settings: Sample rate, lengths and bands.
        grid: Hop in samples and spectra averaged per column, from `spectra_grid`.
    """
    hop_samples, pooled = grid
    spectra = librosa.stft(
        windows,
        n_fft=settings.fft_samples,
        hop_length=hop_samples,
        win_length=settings.fft_window_samples,
        center=True,
        pad_mode="constant",
    )
    power = pool(np.square(np.abs(spectra)), pooled)
    mel = librosa.feature.melspectrogram(
        S=power,
        sr=settings.sample_rate_hz,
        n_fft=settings.fft_samples,
        n_mels=settings.mels,
    )
    cepstrum = librosa.feature.mfcc(
        S=decibel(mel), n_mfcc=settings.mfccs, dct_type=2, norm="ortho"
    )
    return decibel(power).astype(np.float16), cepstrum.astype(np.float16)


def pool(
    power: Float32[np.ndarray, "window frequency spectrum"], pooled: int
) -> Float32[np.ndarray, "window frequency time"]:
    """Average each run of `pooled` spectra around the center of its column."""
    if pooled == 1:
        return power
    starts = np.maximum(0, np.arange(0, power.shape[-1], pooled) - pooled // 2)
    counts = np.diff(np.append(starts, power.shape[-1]))
    sums = np.add.reduceat(power, starts, axis=-1)
    return (sums / counts).astype(np.float32)


def decibel(
    power: Float32[np.ndarray, "window band time"],
) -> Float32[np.ndarray, "window band time"]:
    """Return ``10 log10`` of a power, with a floor and without a ceiling."""
    level: Float32[np.ndarray, "window band time"] = np.log10(
        np.maximum(power, np.float32(FLOOR_POWER))
    )
    return np.float32(10) * level
