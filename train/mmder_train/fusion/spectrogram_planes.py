"""Spectrograms that are drawn, computed from the stored arrays.

To add a type of spectrogram, add a row to `PLANES` and to
`strategies.STORED_SPECTROGRAM`.
"""

from collections.abc import Callable, Mapping

from mmder_train.fusion.mel import mel, mfcc
from mmder_train.fusion.spectrogram_norms import Values
from mmder_train.fusion.types import Spectrograms

Convert = Callable[[Spectrograms, int], Values]
"""Function of a stored spectrogram and its sample rate, with the rows that are drawn.
"""


def _stft(stored: Spectrograms, sample_rate_hz: int) -> Values:
    return stored


def _mel(stored: Spectrograms, sample_rate_hz: int) -> Values:
    return mel(stored, sample_rate_hz=sample_rate_hz)


def _without_loudness(stored: Spectrograms, sample_rate_hz: int) -> Values:
    """Leave out the 0th coefficient.

    Paper: not specified. The 0th coefficient (loudness) spans ten times the range of
    the others, which would leave the others with nearly one color. The authors' release
    leaves it out, too.
    """
    return stored[:, :, 1:]


def _mfcc_of_stft(stored: Spectrograms, sample_rate_hz: int) -> Values:
    return _without_loudness(mfcc(stored, sample_rate_hz=sample_rate_hz), 0)


PLANES: Mapping[str, Mapping[str, Convert]] = {
    "stft": {"stft": _stft},
    "mfcc": {"mfcc": _without_loudness},
    "mel": {"mel": _mel},
    "stft-mel-mfcc": {"stft": _stft, "mel": _mel, "mfcc": _mfcc_of_stft},
}
"""Spectrograms of each type in ``--spectrogram``. One is drawn in a colormap, three are
drawn as the red, the green and the blue plane of one image."""
