"""Blocks of sound on the clock: what comes back lies where its stamp says."""

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.audio_buffer import GAP_S, AudioBuffer, mix

RATE = 16_000
FAR = {"low_s": -1e6, "high_s": 1e6}
lengths = st.lists(st.integers(1, 2000), min_size=1, max_size=30)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32)


def pieces(sizes: list[int]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Give a sound, its blocks, and the first sample of each."""
    whole = noise(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    return whole, np.split(whole, starts[1:]), starts


@given(sizes=lengths, first_s=st.floats(-1, 1000), digits=st.sampled_from([3, 9]))
def test_blocks_that_follow_each_other_are_joined(
    sizes: list[int], first_s: float, digits: int
) -> None:
    """Also where the container rounds its stamps to milliseconds."""
    whole, blocks, starts = pieces(sizes)
    tape = AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        tape.add(round(first_s + start / RATE, digits), block)
    sound, begin_s = tape.resampled(RATE, **FAR)
    assert (sound == whole).all()
    assert begin_s == round(first_s, digits)
    assert tape.seconds == pytest.approx(len(whole) / RATE)


@given(sizes=lengths)
def test_without_stamps_blocks_begin_at_zero_and_are_joined(sizes: list[int]) -> None:
    whole, blocks, _ = pieces(sizes)
    tape = AudioBuffer(RATE)
    for block in blocks:
        tape.add(np.nan, block)
    sound, begin_s = tape.resampled(RATE, **FAR)
    assert (sound == whole).all()
    assert begin_s == 0


@given(
    spans=st.lists(
        st.tuples(st.integers(1, 3000), st.integers(700, 9000)), min_size=1, max_size=8
    )
)
def test_a_gap_becomes_zeros_and_what_follows_keeps_its_time(
    spans: list[tuple[int, int]],
) -> None:
    """Against a long row of zeros into which every block is written."""
    end = sum(a + b for a, b in spans)
    expected, at = np.zeros(end, dtype=np.float32), 0
    tape = AudioBuffer(RATE)
    for seed, (size, gap) in enumerate(spans):
        block = noise(size, seed)
        expected[at : at + size] = block
        tape.add(at / RATE, block)
        last = at + size
        at += size + gap
    sound, begin_s = tape.resampled(RATE, **FAR)
    assert begin_s == 0
    assert (sound == expected[:last]).all()


@given(sizes=lengths, back=st.integers(int(GAP_S * RATE) + 8, 6000))
def test_of_sound_that_comes_twice_the_first_is_kept(
    sizes: list[int], back: int
) -> None:
    whole, blocks, starts = pieces(sizes)
    tape = AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        tape.add(start / RATE, block)
    again = noise(back + 100, 7)
    tape.add((len(whole) - back) / RATE, again)
    sound, _ = tape.resampled(RATE, **FAR)
    assert (sound == np.concatenate([whole, again[back:]])).all()


@given(sizes=lengths, low=st.integers(0, 30_000), stamped=st.booleans())
def test_what_is_let_go_is_never_missed(
    sizes: list[int], low: int, stamped: bool
) -> None:
    """From the low bound on, the sound is that of a tape which keeps everything."""
    whole, blocks, starts = pieces([*sizes, 500])
    low_s = low / RATE
    saving, keeping = AudioBuffer(RATE), AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        stamp_s = start / RATE if stamped else np.nan
        saving.add(stamp_s, block)
        saving.keep_from(low_s)
        keeping.add(stamp_s, block)
    bounds_s = {"low_s": low_s, "high_s": 1e6}
    sound, begin_s = saving.resampled(RATE, **bounds_s)
    expected, expected_s = keeping.resampled(RATE, **bounds_s)
    assert (sound == expected).all()
    if len(sound):
        assert begin_s == pytest.approx(expected_s, abs=1e-9)
    assert saving.seconds <= max(0, len(whole) / RATE - low_s) + 2001 / RATE


@given(low=st.integers(-500, 3000), length=st.integers(0, 3000))
def test_no_sample_outside_the_bounds_comes_back(low: int, length: int) -> None:
    tape = AudioBuffer(RATE)
    whole = noise(2000)
    tape.add(0.5, whole)
    low_s = 0.5 + low / RATE
    sound, begin_s = tape.resampled(RATE, low_s=low_s, high_s=low_s + length / RATE)
    assert (sound == whole[max(0, low) : max(0, low + length)]).all()
    if len(sound):
        assert begin_s == pytest.approx(0.5 + max(0, low) / RATE)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_tone_keeps_pitch_level_and_time_at_another_rate(rate_hz: int) -> None:
    tape = AudioBuffer(rate_hz)
    times_s = np.arange(rate_hz) / rate_hz
    tape.add(2.0, np.sin(2 * np.pi * 1000 * times_s).astype(np.float32))
    sound, begin_s = tape.resampled(RATE, low_s=2.25, high_s=2.75)
    assert len(sound) == RATE // 2
    wave = np.sin(2 * np.pi * 1000 * (np.arange(len(sound)) / RATE + begin_s - 2))
    np.testing.assert_allclose(sound[400:-400], wave[400:-400], atol=2e-3)


def test_nothing_and_what_is_not_a_number_are_silence() -> None:
    assert AudioBuffer(RATE).empty
    assert not len(AudioBuffer(RATE).resampled(8000, **FAR)[0])
    tape = AudioBuffer(RATE)
    tape.add(0.0, np.array([np.nan, np.inf, -np.inf, 0.5], dtype=np.float32))
    assert tape.resampled(RATE, **FAR)[0].tolist() == [0, 0, 0, 0.5]


SCALES = {"u1": 128, "i2": 2**15, "i4": 2**31, "f4": 1, "f8": 1}


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("planar", [True, False], ids=["planar", "packed"])
@pytest.mark.parametrize("kind", list(SCALES))
def test_every_sample_format_mixes_to_the_mean_of_its_channels(
    kind: str, planar: bool, channels: int
) -> None:
    wave = np.stack([0.9 * noise(500, c) for c in range(channels)])
    held = wave * SCALES[kind] + (128 if kind == "u1" else 0)
    samples = (held if kind[0] == "f" else np.rint(held)).astype(kind)
    given_ = samples if planar else samples.T.reshape(1, -1)
    mixed = mix(given_, channels=channels, planar=planar)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(
        mixed, librosa.to_mono(wave), atol=0.005 if kind == "u1" else 4e-5
    )


@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
def test_full_scale_is_one_and_silence_zero(kind: str) -> None:
    info = np.iinfo(kind)
    middle = 128 if kind == "u1" else 0
    row = np.array([[info.min, middle, info.max]], dtype=kind)
    mixed = mix(row, channels=1, planar=True)
    assert mixed[:2].tolist() == [-1, 0]
    assert 0.99 < mixed[2] <= 1
