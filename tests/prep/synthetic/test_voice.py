"""Synthetic voices: audible states, and loudness against its definition."""

import numpy as np
import pytest

from mmder_prep.synthetic.clip import STATE_STD
from mmder_prep.synthetic.voice import (
    SAMPLE_RATE_HZ,
    VocalTract,
    draw_voice,
    loudness,
    synthesize_speech,
)


@pytest.mark.parametrize("trait", ["raise_semitones"])
def test_voice_states_differ_and_overlap(trait: str) -> None:
    rng = np.random.default_rng(0)
    low, mid, high = (
        np.array(
            [
                getattr(draw_voice(rng, state=state, std=STATE_STD), trait)
                for _ in range(300)
            ]
        )
        for state in (-1, 0, 1)
    )
    for one, following in ((low, mid), (mid, high)):
        std = np.hypot(one.std(), following.std()) / np.sqrt(2)
        assert 1.5 < (following.mean() - one.mean()) / std < 4
        assert following.min() < one.max()


def test_voice_states_differ_in_pitch_and_level() -> None:
    pitches_hz, levels = [], []
    for state in (-1, 0, 1):
        rng = np.random.default_rng(0)
        vocal_tract = VocalTract(pitch_hz=120, formant_scale=1)
        traits = draw_voice(rng, state=state, std=0)
        audio = synthesize_speech(
            vocal_tract, traits, n_samples=3 * SAMPLE_RATE_HZ, rng=rng
        )
        levels.append(np.sqrt(np.mean(audio**2)))
        blocks = audio[: len(audio) // 4800 * 4800].reshape(-1, 4800)
        loud = blocks[np.argsort((blocks**2).sum(axis=1))[-8:]]
        power = np.abs(np.fft.rfft(loud, 16384)) ** 2
        autocorrelation = np.fft.irfft(power)[:, 120:960]
        lags = 120 + autocorrelation.argmax(axis=1)
        pitches_hz.append(np.median(SAMPLE_RATE_HZ / lags))
    assert pitches_hz[0] < pitches_hz[1] / 1.1 < pitches_hz[2] / 1.2
    assert levels[0] < levels[1] / 1.3 < levels[2] / 1.6


def test_loudness_is_the_root_mean_square_around_each_sample() -> None:
    audio = np.random.default_rng(0).normal(size=6000)
    level = loudness(audio)
    assert len(level) == 6000
    for sample in (0, 3000, 5999):
        near = audio[max(0, sample - 1200) : sample + 1200]
        assert level[sample] == pytest.approx(np.sqrt((near**2).sum() / 2400))
