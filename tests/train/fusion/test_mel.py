"""Mel bands and MFCCs equal librosa's; mel keeps the level of a flat spectrum."""

import numpy as np
import pytest
import torch

from mmder_train.fusion import mel


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_mel_bands_equal_those_of_librosa(rate_hz: int) -> None:
    import librosa

    expected = librosa.filters.mel(sr=rate_hz, n_fft=512, n_mels=mel.MELS, norm=1)
    bands = mel.mel_bands(257, rate_hz)
    np.testing.assert_allclose(bands, expected, atol=1e-5)


def test_a_flat_spectrum_is_flat_in_mel() -> None:
    level = torch.linspace(-80, 20, 41).expand(1, 2, 257, 41)
    result = mel.mel(level, sample_rate_hz=16_000)
    torch.testing.assert_close(result, level[:, :, : mel.MELS], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_cepstral_coefficients_equal_those_of_librosa(rate_hz: int) -> None:
    import librosa

    level = 20 * np.random.default_rng(0).standard_normal((2, 257, 41)) - 30
    bands = librosa.feature.melspectrogram(
        S=10 ** (level / 10), sr=rate_hz, n_fft=512, n_mels=mel.MELS
    )
    expected = librosa.feature.mfcc(S=10 * np.log10(bands), n_mfcc=mel.MFCCS)
    coefficients = mel.mfcc(
        torch.from_numpy(level[None]).float(), sample_rate_hz=rate_hz
    )
    np.testing.assert_allclose(coefficients[0], expected, atol=1e-3)
