"""Windows to spectrograms: equations against librosa and scipy, laws of the rest."""

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_prep import spectrogram, timeline
from mmder_store.settings import FRAMES_16, PrepSettings

SETTINGS = PrepSettings()
GRID = (160, 1)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(0, 0.1, shape)
    return np.asarray(made, dtype=np.float32)


@given(
    held=st.integers(0, 60),
    first=st.integers(-40, 40),
    starts=st.lists(st.integers(-80, 120), min_size=1, max_size=5),
    length=st.integers(1, 50),
)
def test_a_cut_is_the_sound_at_its_times_and_zero_outside(
    held: int, first: int, starts: list[int], length: int
) -> None:
    """Against a loop over single samples, at 100 samples a second."""
    sound = np.arange(1, held + 1, dtype=np.float32)
    bounds_s = np.array([[s, s + length] for s in starts]) / 100
    windows = spectrogram.cut(
        sound, first_s=first / 100, bounds_s=bounds_s, sample_rate_hz=100
    )
    for row, start in zip(windows, starts, strict=True):
        for place, value in enumerate(row):
            at = start + place - first
            assert value == (sound[at] if 0 <= at < held else 0)
    assert windows.shape == (len(starts), length)


@pytest.mark.parametrize("samples", [3200, 6400, 6500])
def test_the_stft_is_that_of_scipy(samples: int) -> None:
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


def test_the_mfcc_is_that_of_librosa_on_one_window() -> None:
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


@given(seed=st.integers(0, 1000), place=st.integers(0, 15), gain=st.floats(0, 1))
@settings(max_examples=25)
def test_equal_sound_gives_equal_numbers_whatever_is_beside_it(
    seed: int, place: int, gain: float
) -> None:
    windows = noise(16, 3200, seed=seed) * np.float32(gain)
    alone = windows[place : place + 1].copy()
    loud = np.float32(30) * windows
    loud[place] = windows[place]
    together = spectrogram.spectrograms(loud, SETTINGS, grid=GRID)
    single = spectrogram.spectrograms(alone, SETTINGS, grid=GRID)
    for many, one in zip(together, single, strict=True):
        # One step of float16 is 0.06 dB up here; sums may round in another order.
        np.testing.assert_allclose(many[place], one[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("place", [4, 16, 33, 100, 250])
def test_a_pure_tone_peaks_in_its_own_bin(place: int) -> None:
    hz = place * 16_000 / 512
    wave = np.sin(2 * np.pi * hz * np.arange(3200) / 16_000).astype(np.float32)
    stft, _ = spectrogram.spectrograms(wave[None], SETTINGS, grid=GRID)
    assert (stft[0, :, 2:-2].argmax(axis=0) == place).all()


def test_an_impulse_is_loudest_in_the_column_of_its_time() -> None:
    """Column c is centred c hops after the start of the window."""
    for column in range(21):
        windows = np.zeros((1, 3200), dtype=np.float32)
        windows[0, min(column * 160, 3199)] = 1
        stft, _ = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
        assert stft[0].astype(float).sum(axis=0).argmax() == column


def test_silence_is_the_floor() -> None:
    windows = np.zeros((2, 3200), dtype=np.float32)
    stft, mfcc = spectrogram.spectrograms(windows, SETTINGS, grid=GRID)
    assert (stft == -100).all()
    # A constant has nothing but its mean: -100 dB times the root of 64 bands.
    np.testing.assert_allclose(mfcc[:, 0].astype(float), -800, rtol=1e-3)
    np.testing.assert_allclose(mfcc[:, 1:].astype(float), 0, atol=1e-3)


@given(count=st.integers(1, 60), pooled=st.integers(1, 12), seed=st.integers(0, 100))
def test_a_pooled_column_is_the_mean_power_of_the_spectra_around_it(
    count: int, pooled: int, seed: int
) -> None:
    power = np.square(noise(2, 3, count, seed=seed))
    columns = spectrogram.pool(power, pooled)
    assert columns.shape == (2, 3, -(-count // pooled))
    last = columns.shape[2] - 1
    for place in range(last + 1):
        low = max(0, place * pooled - pooled // 2)
        high = count if place == last else low + pooled - (0 if place else pooled // 2)
        mean = power[..., low:high].mean(axis=-1)
        np.testing.assert_allclose(columns[..., place], mean, rtol=1e-4)


@pytest.mark.parametrize("duration_s", [0.05, 0.3, 1, 3.3, 4, 11.7, 60, 333])
def test_spread_steps_fill_the_shape_of_the_store(duration_s: float) -> None:
    auto = PrepSettings(step_frames=None)
    step_s = timeline.spread_step(duration_s, auto)
    grid = timeline.spectra_grid(step_s, auto)
    times_s = timeline.instants(0.0, step_s, FRAMES_16)
    for every, count in ((1, 16), (2, 8)):
        windows = spectrogram.cut(
            noise(1000),
            first_s=0.0,
            bounds_s=timeline.windows(times_s[::every], every * step_s),
            sample_rate_hz=16_000,
        )
        stft, mfcc = spectrogram.spectrograms(windows, auto, grid=grid)
        assert stft.shape == (count, 257, auto.columns(count))
        assert mfcc.shape == (count, 40, auto.columns(count))


@given(level=st.floats(1e-10, 1e6))
def test_decibels_are_ten_times_the_logarithm(level: float) -> None:
    made = spectrogram.decibel(np.full((1, 1, 1), level, dtype=np.float32))
    assert made[0, 0, 0] == pytest.approx(10 * np.log10(level), abs=1e-3)
