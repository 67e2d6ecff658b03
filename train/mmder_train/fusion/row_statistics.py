"""Mean and standard deviation of each row of the spectrograms of speech.

Measured on the audio of 480 RAVDESS takes (actors 1 to 16, first repetition, all
windows), prepared with the default settings at 16 kHz. No label was used, and no take
of actors 17 to 20. Silence, which is half of the audio, is included.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RowStatistics:
    """Statistics of the rows of one type of spectrogram.

    They are known at evenly spaced rows, from the first to the last, and interpolated
    linearly between those.
    """

    rows: int
    """Number of rows that are drawn."""
    mean_db: tuple[float, ...]
    """Means."""
    std_db: tuple[float, ...]
    """Standard deviations."""


def _decibels(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


ROW_STATISTICS: Mapping[str, RowStatistics] = {
    # 257 bins, every eighth.
    "stft": RowStatistics(
        rows=257,
        mean_db=_decibels(
            "-53.1 -44.1 -46.6 -51.5 -54.1 -55.3 -54.8 -55.2 -56.4 -57.4 -57.7 "
            "-58.6 -58.9 -58.9 -59.4 -59.9 -61.0 -61.6 -62.4 -63.1 -63.6 -63.9 "
            "-64.3 -64.6 -65.0 -65.5 -65.6 -65.7 -65.7 -66.0 -66.5 -76.0 -85.3"
        ),
        std_db=_decibels(
            "24.6 32.5 31.9 29.9 28.4 27.5 27.4 27.2 26.6 26.3 26.5 26.1 25.8 25.8 "
            "25.6 25.2 24.6 24.3 23.9 23.4 23.2 23.1 23.0 22.8 22.5 22.2 22.0 21.9 "
            "21.9 21.8 21.7 16.2 11.0"
        ),
    ),
    # 64 mel bands, every third.
    "mel": RowStatistics(
        rows=64,
        mean_db=_decibels(
            "-49.1 -43.4 -44.4 -44.8 -47.4 -50.2 -52.5 -53.2 -53.8 -53.7 -53.4 "
            "-53.9 -55.1 -55.8 -56.7 -57.0 -57.9 -59.7 -61.5 -62.5 -63.5 -66.7"
        ),
        std_db=_decibels(
            "24.0 31.5 32.2 32.4 31.7 30.3 28.9 28.5 28.1 27.8 27.6 27.5 26.7 26.7 "
            "26.3 26.1 25.5 24.5 23.4 22.9 22.1 20.7"
        ),
    ),
    # Coefficients 1 to 39; the 0th is not drawn.
    "mfcc": RowStatistics(
        rows=39,
        mean_db=_decibels(
            "44.5 0.7 12.0 -1.1 -1.3 -6.0 -4.0 -1.9 -1.7 -2.6 -0.8 -1.9 -0.6 -2.2 "
            "-1.2 -1.3 -0.7 -1.6 -0.4 -1.2 -0.4 -0.8 0.2 -0.5 0.7 -0.4 0.7 -0.1 0.7 "
            "-0.1 0.7 -0.1 0.3 -0.3 0.4 -0.3 0.3 -0.3 0.1"
        ),
        std_db=_decibels(
            "44.9 24.4 18.9 18.4 13.6 13.5 11.7 10.4 10.2 9.6 9.6 8.8 8.6 8.6 8.1 "
            "7.9 7.8 7.7 7.2 7.2 6.8 6.4 6.4 6.2 5.9 5.7 5.4 5.1 4.9 4.5 4.3 4.0 "
            "3.7 3.6 3.5 3.4 3.2 3.0 2.9"
        ),
    ),
}
"""Statistics by type of spectrogram."""
