"""Images of spectrograms and faces: orientation, range of values, and colors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmder_store.errors import SettingsError
from mmder_train.fusion import rendering
from mmder_train.fusion.mel import mfcc
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.spectrogram_norms import SPECTROGRAM_NORMS

SETTINGS = RenderSettings(
    spectrogram="stft", colormap="gray", spectrogram_norm="window"
)
GENERATOR = torch.Generator().manual_seed(0)


def gray_values(spectrograms: torch.Tensor, spectrogram: str) -> torch.Tensor:
    """Return the gray values of each window."""
    settings = replace(SETTINGS, spectrogram=spectrogram)  # type: ignore[arg-type]
    (plane,) = rendering.pixel_planes(spectrograms, settings=settings)
    return plane


def test_low_frequencies_are_at_the_bottom() -> None:
    stft = torch.full((1, 16, 257, 41), -100.0)
    stft[:, :, 10:20] = 0.0
    rows = gray_values(stft, "stft")[0, 0].mean(dim=1)
    assert rows.argmax() == pytest.approx(224 * (1 - 15 / 257), abs=4)
    assert rows[:180].max() == 0


def test_time_runs_from_left_to_right() -> None:
    stft = torch.linspace(-80, 0, 41).expand(1, 16, 257, 41)
    columns = gray_values(stft, "stft")[0, 3, 100]
    assert (columns.diff() >= 0).all()
    assert columns[[0, -1]].tolist() == [0, 255]


def test_the_rounding_noise_of_silence_is_not_stretched() -> None:
    stft = -100 + 0.01 * torch.rand(1, 16, 257, 41, generator=GENERATOR)
    assert gray_values(stft, "stft").max() <= 3


def test_the_mfcc_image_leaves_out_loudness() -> None:
    quiet = torch.randn(1, 16, 40, 41, generator=GENERATOR)
    loud = quiet.clone()
    loud[:, :, 0] += 500
    assert torch.equal(gray_values(quiet, "mfcc"), gray_values(loud, "mfcc"))


@pytest.mark.parametrize("norm", SPECTROGRAM_NORMS)
def test_three_spectrograms_are_the_color_planes(norm: str) -> None:
    stft = torch.randn(2, 16, 257, 41, generator=GENERATOR) * 20 - 40
    settings = replace(
        SETTINGS,
        spectrogram="stft-mel-mfcc",
        spectrogram_norm=norm,  # type: ignore[arg-type]
        image_norm=rendering.IMAGE_NORMS["none"],
    )
    x = torch.empty(2, 3, 16, 224, 224)
    rendering.write_spectrograms(x, stft, settings=settings)
    cepstrum = mfcc(stft, sample_rate_hz=16_000)
    parts = (("stft", stft), ("mel", stft), ("mfcc", cepstrum))
    for plane, (spectrogram, stored) in zip(x.unbind(1), parts, strict=True):
        one = replace(settings, spectrogram=spectrogram)  # type: ignore[arg-type]
        (expected,) = rendering.pixel_planes(stored, settings=one)
        torch.testing.assert_close(plane, expected / 255)


def test_three_spectrograms_take_no_colormap() -> None:
    with pytest.raises(SettingsError, match="expected 'gray'"):
        replace(SETTINGS, spectrogram="stft-mel-mfcc", colormap="viridis")


def test_viridis_equals_that_of_matplotlib() -> None:
    from matplotlib import colormaps

    table = rendering.colormap_table("viridis").numpy()
    expected = (255 * np.array(colormaps["viridis"](np.arange(256)))[:, :3]).round()
    assert np.abs(table.T - expected).max() <= 1
    assert (rendering.colormap_table("gray").numpy() == np.arange(256)).all()


def test_half_height_averages_pairs_of_rows() -> None:
    frames = torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8)
    frames[:, :, ::2] = 255
    frames[:, :, 1::2] = 253
    x = torch.empty(1, 3, 16, 112, 224)
    rendering.write_faces(x, frames, image_norm=rendering.IMAGE_NORMS["none"])
    assert torch.equal(x, torch.full_like(x, 254) * torch.tensor(1 / 255))
