"""Audio blocks on the clock: samples come back at the time of their stamp."""

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.audio_buffer import GAP_S, AudioBuffer, mix

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
        buffer.add(round(first_s + start / RATE, digits), block)
    audio, begin_s = buffer.resample(RATE, **UNBOUNDED)
    assert (audio == whole).all()
    assert begin_s == round(first_s, digits)
    assert buffer.seconds == pytest.approx(len(whole) / RATE)


@given(sizes=lengths)
def test_blocks_without_stamps_start_at_zero_and_are_joined(sizes: list[int]) -> None:
    whole, blocks, _ = split_noise(sizes)
    buffer = AudioBuffer(RATE)
    for block in blocks:
        buffer.add(np.nan, block)
    audio, begin_s = buffer.resample(RATE, **UNBOUNDED)
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
        buffer.add(at / RATE, block)
        last = at + size
        at += size + gap
    audio, begin_s = buffer.resample(RATE, **UNBOUNDED)
    assert begin_s == 0
    assert (audio == expected[:last]).all()


@given(sizes=lengths, back=st.integers(int(GAP_S * RATE) + 8, 6000))
def test_first_of_two_overlapping_blocks_is_kept(sizes: list[int], back: int) -> None:
    whole, blocks, starts = split_noise(sizes)
    buffer = AudioBuffer(RATE)
    for block, start in zip(blocks, starts, strict=True):
        buffer.add(start / RATE, block)
    overlapping = noise(back + 100, 7)
    buffer.add((len(whole) - back) / RATE, overlapping)
    audio, _ = buffer.resample(RATE, **UNBOUNDED)
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
        dropping.add(stamp_s, block)
        dropping.drop_before(low_s)
        complete.add(stamp_s, block)
    bounds_s = {"low_s": low_s, "high_s": 1e6}
    audio, begin_s = dropping.resample(RATE, **bounds_s)
    expected, expected_s = complete.resample(RATE, **bounds_s)
    assert (audio == expected).all()
    if len(audio):
        assert begin_s == pytest.approx(expected_s, abs=1e-9)
    assert dropping.seconds <= max(0, len(whole) / RATE - low_s) + 2001 / RATE


@given(low=st.integers(-500, 3000), length=st.integers(0, 3000))
def test_no_sample_outside_the_bounds_is_returned(low: int, length: int) -> None:
    buffer = AudioBuffer(RATE)
    whole = noise(2000)
    buffer.add(0.5, whole)
    low_s = 0.5 + low / RATE
    audio, begin_s = buffer.resample(RATE, low_s=low_s, high_s=low_s + length / RATE)
    assert (audio == whole[max(0, low) : max(0, low + length)]).all()
    if len(audio):
        assert begin_s == pytest.approx(0.5 + max(0, low) / RATE)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_resampling_keeps_pitch_level_and_time_of_a_tone(rate_hz: int) -> None:
    buffer = AudioBuffer(rate_hz)
    times_s = np.arange(rate_hz) / rate_hz
    buffer.add(2.0, np.sin(2 * np.pi * 1000 * times_s).astype(np.float32))
    audio, begin_s = buffer.resample(RATE, low_s=2.25, high_s=2.75)
    assert len(audio) == RATE // 2
    wave = np.sin(2 * np.pi * 1000 * (np.arange(len(audio)) / RATE + begin_s - 2))
    np.testing.assert_allclose(audio[400:-400], wave[400:-400], atol=2e-3)


def test_empty_buffers_and_non_finite_samples_are_silence() -> None:
    assert AudioBuffer(RATE).empty
    assert not len(AudioBuffer(RATE).resample(8000, **UNBOUNDED)[0])
    buffer = AudioBuffer(RATE)
    buffer.add(0.0, np.array([np.nan, np.inf, -np.inf, 0.5], dtype=np.float32))
    assert buffer.resample(RATE, **UNBOUNDED)[0].tolist() == [0, 0, 0, 0.5]


SCALES = {"u1": 128, "i2": 2**15, "i4": 2**31, "f4": 1, "f8": 1}


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("planar", [True, False], ids=["planar", "packed"])
@pytest.mark.parametrize("kind", list(SCALES))
def test_every_sample_format_is_mixed_to_the_mean_of_its_channels(
    kind: str, planar: bool, channels: int
) -> None:
    wave = np.stack([0.9 * noise(500, c) for c in range(channels)])
    scaled = wave * SCALES[kind] + (128 if kind == "u1" else 0)
    samples = (scaled if kind[0] == "f" else np.rint(scaled)).astype(kind)
    block = samples if planar else samples.T.reshape(1, -1)
    mixed = mix(block, channels=channels, planar=planar)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(
        mixed, librosa.to_mono(wave), atol=0.005 if kind == "u1" else 4e-5
    )


@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
def test_full_scale_is_one_and_silence_is_zero(kind: str) -> None:
    info = np.iinfo(kind)
    middle = 128 if kind == "u1" else 0
    row = np.array([[info.min, middle, info.max]], dtype=kind)
    mixed = mix(row, channels=1, planar=True)
    assert mixed[:2].tolist() == [-1, 0]
    assert 0.99 < mixed[2] <= 1
