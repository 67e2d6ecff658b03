"""Normalization of spectrograms: values in decibels are scaled to [0, 1].

To add a normalization, write a function and add a row to `SPECTROGRAM_NORMS`. None of
them depends on other clips, on labels or on folds. A clip therefore looks the same in
training, in testing and in prediction, and features are extracted once for all folds.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmder_store.errors import SettingsError
from mmder_train.fusion.row_statistics import ROW_STATISTICS

Values = Float[Tensor, "clip window row time"]
"""Spectrograms in decibels. A row is a frequency, a mel band or a coefficient."""
Normalize = Callable[[Values, str], Values]
"""Function of spectrograms and their type (a key of `FIXED_DB`), with values in [0, 1].
"""
FLAT_DB = 1.0
"""Smallest range, and smallest standard deviation, that is stretched to all colors.

Silence stays flat: its rounding noise is not stretched to all colors."""
FIXED_DB = {"stft": (-65.0, 35.0), "mel": (-65.0, 35.0), "mfcc": (-60.0, 60.0)}
"""Values of the first and the last color in the fixed range, per type of spectrogram.

The loudest RAVDESS clip reaches 35 dB. Half of all values are below -65 dB, which is
silence. 1 % of the cepstral coefficients are above 60."""
MVN_STDS = 3.0
"""Standard deviations from the mean to the first and to the last color, in mean and
variance normalization (MVN). A normal distribution has 0.3 % of its values outside."""


def window_range(values: Values, spectrogram: str) -> Values:
    """Scale each window from its smallest to its largest value.

    Paper: figure 4 only states "normalised". Loud and quiet windows look alike.
    """
    return _min_max(values, (2, 3))


def clip_range(values: Values, spectrogram: str) -> Values:
    """Scale each clip from its smallest to its largest value.

    Loud and quiet clips look alike; loud and quiet windows of a clip do not.
    """
    return _min_max(values, (1, 2, 3))


def fixed_range(values: Values, spectrogram: str) -> Values:
    """Scale a fixed range: equal audio has equal colors, and an STFT shows loudness."""
    first, last = FIXED_DB[spectrogram]
    return ((values - first) / (last - first)).clamp(0, 1)


def clip_mvn(values: Values, spectrogram: str) -> Values:
    """Scale each row by its mean and standard deviation over the clip.

    This is the per-utterance mean and variance normalization of speech recognition
    (Viikki and Laurila, 1998). It removes loudness, and the mean spectrum of the voice
    and of the microphone.
    """
    mean = values.mean((1, 3), keepdim=True)
    std = values.std((1, 3), keepdim=True, correction=0).clamp_min(FLAT_DB)
    return _scale_standardized((values - mean) / std)


def global_mvn(values: Values, spectrogram: str) -> Values:
    """Scale each row by the mean and standard deviation of that row in speech.

    The statistics are constants (`ROW_STATISTICS`), as those of the Audio Spectrogram
    Transformer (arXiv 2104.01778), but one pair per row: the standard deviation of
    cepstral coefficients falls from 45 to 3 with their number, so a range common to
    all of them leaves most with nearly one color.

    Raises:
        SettingsError: If the spectrograms have another number of rows.
    """
    statistics = ROW_STATISTICS[spectrogram]
    if values.shape[2] != statistics.rows:
        msg = (
            f"--spectrogram-norm global-mvn: {spectrogram} spectrogram of "
            f"{values.shape[2]} rows; expected {statistics.rows}. Use another "
            "normalization."
        )
        raise SettingsError(msg)
    mean, std = _row_statistics_on(values.device, spectrogram)
    return _scale_standardized((values - mean) / std)


SPECTROGRAM_NORMS: Mapping[str, Normalize] = {
    "fixed": fixed_range,
    "window": window_range,
    "clip": clip_range,
    "clip-mvn": clip_mvn,
    "global-mvn": global_mvn,
}
"""Normalizations by their name in ``--spectrogram-norm``."""


def _min_max(values: Values, axes: tuple[int, ...]) -> Values:
    low = values.amin(axes, keepdim=True)
    span = (values.amax(axes, keepdim=True) - low).clamp_min(FLAT_DB)
    return (values - low) / span


def _scale_standardized(values: Values) -> Values:
    return ((values + MVN_STDS) / (2 * MVN_STDS)).clamp(0, 1)


@cache
def _row_statistics_on(
    device: torch.device, spectrogram: str
) -> tuple[Float[Tensor, "row 1"], Float[Tensor, "row 1"]]:
    """Return the mean and standard deviation of each row on a device, copied once."""
    statistics = ROW_STATISTICS[spectrogram]
    mean, std = (
        torch.from_numpy(_interpolate(knots, statistics.rows)).float()[:, None]
        for knots in (statistics.mean_db, statistics.std_db)
    )
    return mean.to(device), std.to(device)


def _interpolate(knots: tuple[float, ...], rows: int) -> Float64[np.ndarray, " row"]:
    position = np.linspace(0, len(knots) - 1, rows)
    return np.interp(position, np.arange(len(knots)), knots)
