"""Audio blocks on the clock: samples come back at the time of their stamp."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.audio_buffer import (
    GAP_S,
    AudioBuffer,
    clip_audio,
    level_db,
    silent_fraction,
)

RATE = 16_000
UNBOUNDED = {"low_s": -1e6, "high_s": 1e6}
lengths = st.lists(st.integers(1, 2000), min_size=1, max_size=30)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32)


def split_noise(sizes: list[int]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return noise, its blocks, and the index of the first sample of each block."""
    whole = noise(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    return whole, np.split(whole, starts[1:]), starts


@given(sizes=lengths, first_s=st.floats(-1, 1000), digits=st.sampled_from([3, 9]))
def test_consecutive_blocks_are_joined(
    sizes: list[int], first_s: float, digits: int
) -> None:
    """This also holds if the container rounds its stamps to milliseconds."""
    whole, blocks, starts = split_noise(sizes)
    buffer = AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        buffer.add(round(first_s + start / RATE, digits), block[None])
    audio, begin_s, _ = buffer.resample(RATE, **UNBOUNDED)
    assert (audio == whole).all()
    assert begin_s == round(first_s, digits)
    assert buffer.seconds == pytest.approx(len(whole) / RATE)


@given(sizes=lengths)
def test_blocks_without_stamps_start_at_zero_and_are_joined(sizes: list[int]) -> None:
    whole, blocks, _ = split_noise(sizes)
    buffer = AudioBuffer(RATE)
    for block in blocks:
        buffer.add(np.nan, block[None])
    audio, begin_s, _ = buffer.resample(RATE, **UNBOUNDED)
    assert (audio == whole).all()
    assert begin_s == 0


@given(
    spans=st.lists(
        st.tuples(st.integers(1, 3000), st.integers(700, 9000)), min_size=1, max_size=8
    )
)
def test_gap_is_filled_with_zeros_and_later_blocks_keep_their_time(
    spans: list[tuple[int, int]],
) -> None:
    """The oracle is an array of zeros into which every block is written."""
    end = sum(a + b for a, b in spans)
    expected, at = np.zeros(end, dtype=np.float32), 0
    buffer = AudioBuffer(RATE)
    for seed, (size, gap) in enumerate(spans):
        block = noise(size, seed)
        expected[at : at + size] = block
        buffer.add(at / RATE, block[None])
        last = at + size
        at += size + gap
    audio, begin_s, _ = buffer.resample(RATE, **UNBOUNDED)
    assert begin_s == 0
    assert (audio == expected[:last]).all()


@given(sizes=lengths, back=st.integers(int(GAP_S * RATE) + 8, 6000))
def test_first_of_two_overlapping_blocks_is_kept(sizes: list[int], back: int) -> None:
    whole, blocks, starts = split_noise(sizes)
    buffer = AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        buffer.add(start / RATE, block[None])
    overlapping = noise(back + 100, 7)
    buffer.add((len(whole) - back) / RATE, overlapping[None])
    audio, _, _ = buffer.resample(RATE, **UNBOUNDED)
    assert (audio == np.concatenate([whole, overlapping[back:]])).all()


@given(sizes=lengths, low=st.integers(0, 30_000), stamped=st.booleans())
def test_dropped_blocks_are_not_needed(
    sizes: list[int], low: int, stamped: bool
) -> None:
    """From the low bound on, the audio equals that of a buffer that drops nothing."""
    whole, blocks, starts = split_noise([*sizes, 500])
    low_s = low / RATE
    dropping, complete = AudioBuffer(RATE), AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        stamp_s = start / RATE if stamped else np.nan
        dropping.add(stamp_s, block[None])
        dropping.drop_before(low_s)
        complete.add(stamp_s, block[None])
    bounds_s = {"low_s": low_s, "high_s": 1e6}
    audio, begin_s, _ = dropping.resample(RATE, **bounds_s)
    expected, expected_s, _ = complete.resample(RATE, **bounds_s)
    assert (audio == expected).all()
    if len(audio):
        assert begin_s == pytest.approx(expected_s, abs=1e-9)
    assert dropping.seconds <= max(0, len(whole) / RATE - low_s) + 2001 / RATE


@given(low=st.integers(-500, 3000), length=st.integers(0, 3000))
def test_no_sample_outside_the_bounds_is_returned(low: int, length: int) -> None:
    buffer = AudioBuffer(RATE)
    whole = noise(2000)
    buffer.add(0.5, whole[None])
    low_s = 0.5 + low / RATE
    audio, begin_s, _ = buffer.resample(RATE, low_s=low_s, high_s=low_s + length / RATE)
    assert (audio == whole[max(0, low) : max(0, low + length)]).all()
    if len(audio):
        assert begin_s == pytest.approx(0.5 + max(0, low) / RATE)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_resampling_keeps_pitch_level_and_time_of_a_tone(rate_hz: int) -> None:
    buffer = AudioBuffer(rate_hz)
    times_s = np.arange(rate_hz) / rate_hz
    buffer.add(2.0, np.sin(2 * np.pi * 1000 * times_s).astype(np.float32)[None])
    audio, begin_s, _ = buffer.resample(RATE, low_s=2.25, high_s=2.75)
    assert len(audio) == RATE // 2
    wave = np.sin(2 * np.pi * 1000 * (np.arange(len(audio)) / RATE + begin_s - 2))
    np.testing.assert_allclose(audio[400:-400], wave[400:-400], atol=2e-3)


def test_empty_buffers_and_non_finite_samples_are_silence() -> None:
    assert AudioBuffer(RATE).empty
    assert not len(AudioBuffer(RATE).resample(8000, **UNBOUNDED)[0])
    buffer = AudioBuffer(RATE)
    buffer.add(0.0, np.array([[np.nan, np.inf, -np.inf, 0.5]], dtype=np.float32))
    assert buffer.resample(RATE, **UNBOUNDED)[0].tolist() == [0, 0, 0, 0.5]


@pytest.mark.parametrize("gap", [80, 130, 340, 620])
def test_gap_of_a_lost_packet_is_kept(gap: int) -> None:
    """5 to 39 ms: all blocks after the gap are later, so that the gap is confirmed."""
    whole = noise(12_000)
    buffer = AudioBuffer(RATE)
    for at in range(0, 12_000, 400):
        late = gap if at >= 4000 else 0
        buffer.add((at + late) / RATE, whole[None, at : at + 400])
    audio, _, _ = buffer.resample(RATE, **UNBOUNDED)
    zeros = np.zeros(gap, dtype=np.float32)
    assert (audio == np.concatenate([whole[:4000], zeros, whole[4000:]])).all()
    assert buffer.filled_s == pytest.approx(gap / RATE)


@given(seed=st.integers(0, 1000))
def test_one_stamp_that_is_off_moves_nothing(seed: int) -> None:
    """Live recordings jitter: the next stamp is right again."""
    rng = np.random.default_rng(seed)
    whole, buffer = noise(12_000), AudioBuffer(RATE)
    for at in range(0, 12_000, 400):
        off_s = rng.uniform(-0.035, 0.035) if at % 1200 == 400 else 0.0
        buffer.add(at / RATE + off_s, whole[None, at : at + 400])
    audio, _, _ = buffer.resample(RATE, **UNBOUNDED)
    assert (audio == whole).all()
    assert buffer.filled_s == buffer.cut_s == 0


def test_level_and_silence_of_known_audio() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    assert level_db(tone) == pytest.approx(-3.0103, abs=1e-3)
    assert silent_fraction(np.concatenate([tone, 0 * tone]), RATE) == 0.5
    assert np.isnan(level_db(tone[:0]))
    assert np.isnan(silent_fraction(tone[:0], RATE))


@given(
    first=st.integers(-3000, 3000),
    length=st.integers(0, 3000),
    low=st.integers(-3000, 3000),
    span=st.integers(1, 3000),
)
def test_missing_audio_of_a_clip_is_zeros(
    first: int, length: int, low: int, span: int
) -> None:
    """The oracle writes the samples into a long array of zeros."""
    audio = noise(length) + 2
    long = np.zeros(12_001, dtype=np.float32)
    long[first + 3000 : first + 3000 + length] = audio
    expected = long[low + 3000 : low + 3000 + span]
    bounds_s = (low / RATE, (low + span) / RATE)
    whole, present_s = clip_audio(audio, RATE, first_s=first / RATE, bounds_s=bounds_s)
    assert (whole == expected).all()
    assert present_s == pytest.approx(np.count_nonzero(expected) / RATE)
