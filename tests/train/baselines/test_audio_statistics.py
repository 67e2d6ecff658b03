"""Statistics of the audio count each instant once, and ignore padding and silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from mmder_store import PrepSettings
from mmder_train.baselines import audio_statistics

SETTINGS = PrepSettings(modality="audio")


@given(st.integers(2, 20), st.integers(1, 12))
def test_each_instant_counts_once_and_no_edge_counts(windows: int, step: int) -> None:
    columns = 4 * step + 1
    start = 2 * step * np.arange(windows)[:, None]
    instant = (start + np.arange(columns))[:, None, :].astype(np.float32)
    padded = instant.copy()
    padded[:, :, [0, -1]] = -1
    joined = audio_statistics.join_windows(padded)[0]
    assert joined.tolist() == np.arange(joined[0], joined[-1] + 1).tolist()
    assert joined[0] == step
    assert joined[-1] == instant[-1, 0, -2]


def test_windows_of_one_column_are_unchanged() -> None:
    windows = np.arange(4, dtype=np.float32).reshape(4, 1, 1)
    assert audio_statistics.join_windows(windows).tolist() == [[0, 1, 2, 3]]


def test_the_band_of_a_tone_is_the_loudest() -> None:
    starts = audio_statistics.mel_band_starts(SETTINGS)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    time_s = np.arange(8000) / SETTINGS.sample_rate_hz
    hz, _, power = signal.spectrogram(
        np.sin(2 * np.pi * 1000 * time_s), fs=SETTINGS.sample_rate_hz, nperseg=512
    )
    stft_db = 10 * np.log10(power + 1e-10)
    level = audio_statistics.mel_band_levels(stft_db, SETTINGS).mean(axis=1)
    low_hz, high_hz = hz[starts], np.append(hz[starts[1:]], hz[-1] + 1)
    (band,) = np.flatnonzero((low_hz <= 1000) & (high_hz > 1000))
    assert level.argmax() == band


def test_silence_and_changes_across_silence_are_ignored() -> None:
    values = np.array([[1.0, 2.0, 50.0, 4.0, 6.0]])
    audible = np.array([True, True, False, True, True])
    mean, std, *percentiles, change, change_std = audio_statistics.statistics_over_time(
        values, audible
    )
    assert (mean, std) == (pytest.approx(3.25), pytest.approx(np.std([1, 2, 4, 6])))
    assert percentiles == pytest.approx(
        np.percentile([1, 2, 4, 6], audio_statistics.PERCENTILES)
    )
    assert (change, change_std) == (pytest.approx(1.5), pytest.approx(0.5))
    level = np.full((257, 4), -100.0)
    level[:, 1] = -20
    level[:, 2] = -79
    found = audio_statistics.audible_instants(level)
    assert found.tolist() == [False, True, True, False]
    assert audio_statistics.audible_instants(level[:, :1]).all()
