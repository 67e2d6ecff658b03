"""Windows to spectrograms: checked against librosa and scipy, and by laws."""

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_prep import spectrogram, timeline
from mmder_store.settings import PrepSettings

SETTINGS = PrepSettings()
GRID = (160, 1)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(0, 0.1, shape)
    return np.asarray(samples, dtype=np.float32)


@given(
    count=st.integers(0, 60),
    first=st.integers(-40, 40),
    starts=st.lists(st.integers(-80, 120), min_size=1, max_size=5),
    length=st.integers(1, 50),
)
def test_cut_is_the_audio_at_its_times_and_zero_outside(
    count: int, first: int, starts: list[int], length: int
) -> None:
    """The oracle is a loop over single samples, at 100 samples per second."""
    audio = np.arange(1, count + 1, dtype=np.float32)
    bounds_s = np.array([[s, s + length] for s in starts]) / 100
    windows = spectrogram.cut(
        audio, first_s=first / 100, bounds_s=bounds_s, sample_rate_hz=100
    )
    for row, start in zip(windows, starts, strict=True):
        for offset, value in enumerate(row):
            at = start + offset - first
            assert value == (audio[at] if 0 <= at < count else 0)
    assert windows.shape == (len(starts), length)


@pytest.mark.parametrize("samples", [3200, 6400, 6500])
def test_stft_equals_that_of_scipy(samples: int) -> None:
    windows = noise(3, samples)
    stft, _ = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
    hann = np.zeros(512)
    hann[56:456] = scipy.signal.get_window("hann", 400)
    _, _, spectra = scipy.signal.stft(
        windows,
        window=hann,
        nperseg=512,
        noverlap=512 - 160,
        boundary="zeros",
        padded=False,
    )
    expected = 20 * np.log10(np.abs(spectra) * hann.sum())
    assert stft.shape == (3, 257, 1 + samples // 160)
    np.testing.assert_allclose(stft, expected[..., : stft.shape[2]], atol=0.06)


def test_mfcc_of_one_window_equals_that_of_librosa() -> None:
    windows = noise(2, 3200)
    _, mfcc = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
    expected = librosa.feature.mfcc(
        y=windows[1],
        sr=16_000,
        n_mfcc=40,
        n_mels=64,
        n_fft=512,
        hop_length=160,
        win_length=400,
        pad_mode="constant",
    )
    assert mfcc.shape == (2, 40, 21)
    np.testing.assert_allclose(mfcc[1], expected, rtol=2e-3, atol=0.03)


@given(seed=st.integers(0, 1000), index=st.integers(0, 15), gain=st.floats(0, 1))
@settings(max_examples=25)
def test_window_does_not_depend_on_the_other_windows(
    seed: int, index: int, gain: float
) -> None:
    windows = noise(16, 3200, seed=seed) * np.float32(gain)
    single = windows[index : index + 1].copy()
    loud = np.float32(30) * windows
    loud[index] = windows[index]
    of_all = spectrogram.spectrograms(loud, SETTINGS, grid=GRID)
    of_one = spectrogram.spectrograms(single, SETTINGS, grid=GRID)
    for many, one in zip(of_all, of_one, strict=True):
        # One step of float16 is 0.06 dB here; sums may round in another order.
        np.testing.assert_allclose(many[index], one[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("index", [4, 16, 33, 100, 250])
def test_pure_tone_peaks_in_its_own_bin(index: int) -> None:
    hz = index * 16_000 / 512
    wave = np.sin(2 * np.pi * hz * np.arange(3200) / 16_000).astype(np.float32)
    stft, _ = spectrogram.spectrograms(wave[None], SETTINGS, grid=GRID)
    assert (stft[0, :, 2:-2].argmax(axis=0) == index).all()


def test_impulse_is_loudest_in_the_column_of_its_time() -> None:
    """Column c is centered c hops after the start of the window."""
    for column in range(21):
        windows = np.zeros((1, 3200), dtype=np.float32)
        windows[0, min(column * 160, 3199)] = 1
        stft, _ = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
        assert stft[0].astype(float).sum(axis=0).argmax() == column


def test_silence_is_at_the_floor() -> None:
    windows = np.zeros((2, 3200), dtype=np.float32)
    stft, mfcc = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
    assert (stft == -100).all()
    # Only the mean of a constant is not zero: -100 dB times the root of 64 bands.
    np.testing.assert_allclose(mfcc[:, 0].astype(float), -800, rtol=1e-3)
    np.testing.assert_allclose(mfcc[:, 1:].astype(float), 0, atol=1e-3)


@given(count=st.integers(1, 60), pooled=st.integers(1, 12), seed=st.integers(0, 100))
def test_pooled_column_is_the_mean_power_of_the_spectra_around_it(
    count: int, pooled: int, seed: int
) -> None:
    power = np.square(noise(2, 3, count, seed=seed))
    columns = spectrogram.pool(power, pooled)
    assert columns.shape == (2, 3, -(-count // pooled))
    last = columns.shape[2] - 1
    for index in range(last + 1):
        low = max(0, index * pooled - pooled // 2)
        high = count if index == last else low + pooled - (0 if index else pooled // 2)
        mean = power[..., low:high].mean(axis=-1)
        np.testing.assert_allclose(columns[..., index], mean, rtol=1e-4)


@pytest.mark.parametrize("duration_s", [0.05, 0.3, 1, 3.3, 4, 11.7, 60, 333])
def test_spectrograms_of_spread_steps_have_the_shape_of_the_store(
    duration_s: float,
) -> None:
    auto = PrepSettings(step_frames=None)
    step_s = timeline.spread_step(duration_s, auto)
    grid = timeline.spectra_grid(step_s, auto)
    schedule = timeline.schedule_clip(0.0, step_s)
    for count, bounds_s in schedule.window_bounds_s.items():
        windows = spectrogram.cut(
            noise(1000),
            first_s=0.0,
            bounds_s=bounds_s,
            sample_rate_hz=16_000,
        )
        stft, mfcc = spectrogram.spectrograms(windows, auto, grid=grid)
        assert stft.shape == (count, 257, auto.columns(count))
        assert mfcc.shape == (count, 40, auto.columns(count))


@given(level=st.floats(1e-10, 1e6))
def test_decibel_is_ten_times_the_logarithm(level: float) -> None:
    level_db = spectrogram.decibel(np.full((1, 1, 1), level, dtype=np.float32))
    assert level_db[0, 0, 0] == pytest.approx(10 * np.log10(level), abs=1e-3)
