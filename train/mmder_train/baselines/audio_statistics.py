"""Simple statistics of a clip's sound, from the windows that a store keeps.

Nothing here opens a file. Windows overlap by half, and the first and the last column
of each is half made of the zeros beyond its bounds. `track` undoes both, so that every
instant counts once and none is tainted.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from mmder_store import PrepSettings

BANDS = 26
"""Mel bands at most, made from the STFT."""
AUDIBLE_DB = 60.0
"""A column this far below the loudest of its clip counts as silence. Measured among
speakers that are trained on, it served logistic regression better than 30 or 45, and
better than leaving out digital silence alone."""
PERCENTILES = (10, 25, 50, 75, 90)


def track(
    windows: Float[np.ndarray, "window band time"],
) -> Float64[np.ndarray, "band instant"]:
    """Lay windows end to end: the middle half of each, and the rest of the last.

    >>> halves = np.array([[[0, 1, 2, 3, 4]], [[2, 3, 4, 5, 6]]], dtype=np.float32)
    >>> track(halves)
    array([[1., 2., 3., 4., 5.]])
    """
    columns = windows.shape[-1]
    quarter = (columns - 1) // 4
    stop = max(quarter + 1, columns - 1 - quarter)
    middle = np.concatenate(windows[:, :, quarter:stop], axis=-1)
    rest = windows[-1, :, stop : columns - 1]
    return np.concatenate([middle, rest], axis=-1).astype(np.float64)


def mel_starts(settings: PrepSettings) -> Int64[np.ndarray, " band"]:
    """Give the first frequency of each band: equal steps of mel, none of them empty.

    Mel as 2595 log10(1 + f / 700 Hz). Low bands narrower than a frequency of the
    transform are joined with the next.
    """
    frequency_hz = np.fft.rfftfreq(settings.fft_samples, 1 / settings.sample_rate_hz)
    mel = 2595 * np.log10(1 + frequency_hz / 700)
    edges = np.linspace(0, mel[-1], BANDS + 1)[:-1]
    return np.unique(np.searchsorted(mel, edges))


def bands(
    stft_db: Float64[np.ndarray, "frequency instant"], settings: PrepSettings
) -> Float64[np.ndarray, "band instant"]:
    """Give the mean power of each mel band in dB."""
    starts = mel_starts(settings)
    width = np.diff(np.append(starts, len(stft_db)))
    power = np.add.reduceat(10 ** (stft_db / 10), starts, axis=0)
    return 10 * np.log10(power / width[:, None])


def audible_windows(
    stft_db: Float64[np.ndarray, "frequency instant"],
) -> Bool[np.ndarray, " instant"]:
    """Tell which instants are within `HEARD_DB` of the loudest."""
    level_db = 10 * np.log10(np.sum(10 ** (stft_db / 10), axis=0))
    loud: Bool[np.ndarray, " instant"] = level_db >= level_db.max() - AUDIBLE_DB
    return loud


def over_time(
    values: Float64[np.ndarray, "band instant"],
    counts: Bool[np.ndarray, " instant"],
) -> Float64[np.ndarray, " statistic"]:
    """Give what each band does over the instants that count.

    Mean, spread, percentiles, and mean size and spread of the change from one instant
    to the next (zero where no two neighbours count).
    """
    kept = values[:, counts]
    change = np.diff(values, axis=1)[:, counts[1:] & counts[:-1]]
    if not change.shape[1]:
        change = np.zeros((len(values), 1))
    return np.concatenate(
        [
            kept.mean(axis=1),
            kept.std(axis=1),
            *np.percentile(kept, PERCENTILES, axis=1),
            np.abs(change).mean(axis=1),
            change.std(axis=1),
        ]
    )


def statistics(
    mfcc: Float[np.ndarray, "window coefficient time"],
    stft: Float[np.ndarray, "window frequency time"],
    settings: PrepSettings,
) -> Float64[np.ndarray, " statistic"]:
    """Give the statistics over time of a clip's cepstrum and of its mel bands.

    Args:
        mfcc: As stored.
        stft: The same windows, in dB, as stored.
        settings: Those of the store.
    """
    spectrum = track(stft)
    counts = audible_windows(spectrum)
    parts = (track(mfcc), bands(spectrum, settings))
    return np.concatenate([over_time(part, counts) for part in parts])
