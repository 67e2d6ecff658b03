"""Normalization of spectrograms: numbers calculated by hand."""

from collections.abc import Mapping
from dataclasses import fields
from inspect import signature
from typing import get_args, get_type_hints

import pytest
import torch

from mmder_store.errors import SettingsError
from mmder_train import FusionDataset
from mmder_train.cli.main import cli
from mmder_train.config.train_config import TrainConfig
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.spectrogram_norms import FIXED_DB, SPECTROGRAM_NORMS
from mmder_train.fusion.spectrogram_planes import PLANES
from mmder_train.fusion.strategies import STORED_SPECTROGRAM

GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("setting", "table"),
    [("spectrogram_norm", SPECTROGRAM_NORMS), ("spectrogram", PLANES)],
)
def test_options_and_settings_name_every_row(
    setting: str, table: Mapping[str, object]
) -> None:
    for settings in (TrainConfig, RenderSettings):
        assert get_args(get_type_hints(settings)[setting]) == tuple(table)
    (option,) = (p for p in cli.params if p.name == setting)
    assert tuple(option.type.choices) == tuple(table)  # type: ignore[attr-defined]
    assert set(STORED_SPECTROGRAM) == set(PLANES)


@pytest.mark.parametrize("name", ["spectrogram", "colormap", "spectrogram_norm"])
def test_the_dataset_and_the_figures_have_the_defaults_of_training(name: str) -> None:
    default = {f.name: f.default for f in fields(TrainConfig)}[name]
    assert getattr(RenderSettings(), name) == default
    assert signature(FusionDataset).parameters[name].default == default


def test_ranges_of_windows_and_of_clips() -> None:
    stft = torch.zeros(1, 16, 257, 41)
    stft[:, 0, 0], stft[:, 1, 0] = 20.0, 40.0
    per_window = SPECTROGRAM_NORMS["window"](stft, "stft")
    per_clip = SPECTROGRAM_NORMS["clip"](stft, "stft")
    assert per_window[0, 0].max() == per_window[0, 1].max() == 1
    assert per_clip[0, 0].max() == 0.5


@pytest.mark.parametrize("spectrogram", FIXED_DB)
def test_equal_audio_has_equal_colors_in_the_fixed_range(spectrogram: str) -> None:
    fixed = SPECTROGRAM_NORMS["fixed"]
    first, last = FIXED_DB[spectrogram]
    level = torch.linspace(first - 20, last + 20, 41).expand(1, 2, 40, 41)
    values = fixed(level, spectrogram)
    assert (values.diff() >= 0).all()
    assert values[0, 0, 0, [0, 20, -1]].tolist() == pytest.approx([0, 0.5, 1])
    louder = torch.cat([level, torch.full_like(level, 100.0)], dim=1)
    assert torch.equal(fixed(louder, spectrogram)[:, :2], values)


def test_mean_and_variance_of_the_rows_of_a_clip() -> None:
    # Row 0: two values of 0 and two of 10, with mean 5 and standard deviation 5.
    # Row 1: constant. Row 2: deviates by less than 1 dB, which is not stretched.
    stft = torch.tensor([[[[0.0, 0.0], [7.0, 7.0], [0.2, 0.2]]]]).repeat(1, 2, 1, 1)
    stft[0, 1, 0], stft[0, 1, 2] = 10.0, -0.2
    values = SPECTROGRAM_NORMS["clip-mvn"](stft, "stft")[0, :, :, 0]
    expected = [[2 / 6, 0.5, 3.2 / 6], [4 / 6, 0.5, 2.8 / 6]]
    torch.testing.assert_close(values, torch.tensor(expected))


def test_a_gain_and_a_filter_do_not_change_the_mvn_of_a_clip() -> None:
    stft = torch.randn(2, 3, 5, 7, generator=GENERATOR).mul(20)
    changed = stft + 15 + torch.tensor([0.0, 3.0, -6.0, 1.0, 9.0])[:, None]
    clip_mvn = SPECTROGRAM_NORMS["clip-mvn"]
    torch.testing.assert_close(clip_mvn(changed, "stft"), clip_mvn(stft, "stft"))


@pytest.mark.parametrize(
    ("spectrogram", "rows", "row", "mean", "std"),
    [
        ("mfcc", 39, 0, 44.5, 44.9),
        ("mfcc", 39, 38, 0.1, 2.9),
        ("mel", 64, 3, -43.4, 31.5),
        ("stft", 257, 8, -44.1, 32.5),
        # Halfway between two known rows: -53.1 and -44.1, 24.6 and 32.5.
        ("stft", 257, 4, -48.6, 28.55),
    ],
)
def test_mean_and_variance_of_the_rows_of_speech(
    spectrogram: str, rows: int, row: int, mean: float, std: float
) -> None:
    deviations = torch.tensor([-9.0, -3.0, -1.5, 0.0, 1.0, 3.0, 9.0])
    values = torch.zeros(1, 1, rows, 7)
    values[0, 0, row] = mean + std * deviations
    scaled = SPECTROGRAM_NORMS["global-mvn"](values, spectrogram)[0, 0, row]
    assert scaled.tolist() == pytest.approx([0, 0, 0.25, 0.5, 4 / 6, 1, 1], abs=1e-6)


def test_statistics_of_speech_need_the_same_rows() -> None:
    with pytest.raises(SettingsError, match="mfcc spectrogram of 19 rows; expected 39"):
        SPECTROGRAM_NORMS["global-mvn"](torch.zeros(1, 1, 19, 4), "mfcc")
