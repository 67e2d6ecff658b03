"""Channels mixed to one, against the sums of ITU-R BS.775 and librosa's mean."""

from fractions import Fraction
from pathlib import Path

import av
import librosa
import numpy as np
import pytest

from mmder_prep.media.channel_mixing import channel_positions, mix_sides, to_sides
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import ClipRow, prepare_clip
from mmder_store.settings import PrepSettings

STEREO, LAYOUT_51 = ("FL", "FR"), ("FL", "FR", "FC", "LFE", "SL", "SR")
RATE = 48_000
TONE_DB = 20 * np.log10(0.5) - 3.01
"""Level of a sine of half the full scale."""
SCALES = {"u1": 128, "i2": 2**15, "i4": 2**31, "f4": 1, "f8": 1}


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32)


def mix(
    samples: np.ndarray, names: tuple[str, ...], *, planar: bool = True
) -> np.ndarray:
    sides = to_sides(samples, names, planar=planar)
    return mix_sides(sides, surround=len(names) > 2 and len(sides) == 2)[0]


@pytest.mark.parametrize("names", [("FC",), STEREO, ("NONE",) * 4])
@pytest.mark.parametrize("planar", [True, False], ids=["planar", "packed"])
@pytest.mark.parametrize("kind", list(SCALES))
def test_every_sample_format_is_mixed_to_the_mean_of_its_channels(
    kind: str, planar: bool, names: tuple[str, ...]
) -> None:
    wave = np.stack([0.9 * noise(500, c) for c in range(len(names))])
    scaled = wave * SCALES[kind] + (128 if kind == "u1" else 0)
    samples = (scaled if kind[0] == "f" else np.rint(scaled)).astype(kind)
    block = samples if planar else samples.T.reshape(1, -1)
    mixed = mix(block, names, planar=planar)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(
        mixed, librosa.to_mono(wave), atol=0.005 if kind == "u1" else 4e-5
    )


@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
def test_full_scale_is_one_and_silence_is_zero(kind: str) -> None:
    info = np.iinfo(kind)
    middle = 128 if kind == "u1" else 0
    row = np.array([[info.min, middle, info.max]], dtype=kind)
    mixed = mix(row, ("FC",))
    assert mixed[:2].tolist() == [-1, 0]
    assert 0.99 < mixed[2] <= 1


def test_surround_is_the_sum_of_bs_775() -> None:
    """M = 0.7071 L + 0.7071 R + C + 0.5 Ls + 0.5 Rs; no low-frequency channel."""
    wave = np.stack([noise(4000, seed) for seed in range(6)])
    expected = np.array([0.70711, 0.70711, 1, 0, 0.5, 0.5]) @ wave
    np.testing.assert_allclose(mix(wave, LAYOUT_51), expected, atol=1e-4)


def test_speech_in_the_center_keeps_its_level() -> None:
    wave = np.zeros((6, 4000), dtype=np.float32)
    wave[2] = noise(4000)
    np.testing.assert_allclose(mix(wave, LAYOUT_51), wave[2], atol=1e-6)


@pytest.mark.parametrize("gain", [-1.0, -0.6])
def test_channels_of_opposite_phase_do_not_cancel(gain: float) -> None:
    speech = noise(4000)
    mixed, note = mix_sides(np.stack([speech, gain * speech]), surround=False)
    np.testing.assert_allclose(mixed, (1 - gain) / 2 * speech, atol=1e-6)
    assert note == "left and right audio are opposite in phase; the right is inverted"


@pytest.mark.parametrize(("channel", "name"), [(0, "left"), (1, "right")])
def test_speech_in_one_channel_keeps_its_level(channel: int, name: str) -> None:
    sides = 0.01 * np.stack([noise(4000, 1), noise(4000, 2)])
    sides[channel] = noise(4000)
    mixed, note = mix_sides(sides, surround=False)
    assert (mixed == sides[channel]).all()
    assert note == f"audio in the {name} channel only; the other is left out"


def test_independent_channels_and_silence_are_averaged() -> None:
    sides = np.stack([noise(4000, 1), noise(4000, 2)])
    for given in (sides, 0 * sides, sides[:, :0]):
        mixed, note = mix_sides(given, surround=False)
        np.testing.assert_allclose(mixed, given.mean(axis=0), atol=1e-7)
        assert note == ""


def test_unknown_positions_are_guessed_as_ffmpeg_does_and_noted() -> None:
    assert channel_positions(STEREO) == (STEREO, "")
    assert channel_positions(LAYOUT_51) == (LAYOUT_51, "")
    names, note = channel_positions(("NONE",) * 6)
    assert list(names) == [c.name for c in av.AudioLayout("5.1").channels]
    assert note == "6 audio channels at unknown positions are taken as 5.1"
    names, note = channel_positions(("NONE",) * 8)
    assert list(names) == [c.name for c in av.AudioLayout("7.1").channels]
    _, note = channel_positions(("NONE",) * 4)
    assert note == "4 audio channels at unknown positions are averaged"


def prepare(folder: Path, wave: np.ndarray, layout: str) -> ClipRow:
    """Write a FLAC file and prepare it."""
    path = folder / "x.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout=layout)
        block = np.rint(wave * 32767).astype(np.int16).T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    settings = PrepSettings(modality="audio")
    clip = Clip(clip_id="x", source=Source(path))
    return prepare_clip(clip, settings, device="cpu")


@pytest.mark.parametrize("gains", [(1, 1), (1, -1), (1, 0), (0, 1)])
def test_stereo_files_keep_the_level_of_speech(
    tmp_path: Path, gains: tuple[int, int]
) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4 * RATE) / RATE)
    row = prepare(tmp_path, np.outer(gains, tone), "stereo")
    assert row.facts["sound_rms_db"] == pytest.approx(TONE_DB, abs=0.1)
    assert row.facts["silence"] == 0
    assert bool(row.reason) == (gains != (1, 1))


def test_surround_file_keeps_the_level_of_its_center(tmp_path: Path) -> None:
    wave = np.zeros((6, 4 * RATE))
    wave[2] = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4 * RATE) / RATE)
    row = prepare(tmp_path, wave, "5.1")
    assert row.facts["sound_rms_db"] == pytest.approx(TONE_DB, abs=0.1)
    assert (row.status, row.reason) == ("ok", "")
