"""The core claim, end to end: video and audio of a row show the same moment.

Frame k of these clips shows the number k, and every tenth of a second has its own
tone, so the arrays of a row show from which moment of the clip they are. The tests
use no time stamp that was read by the code under test.
"""

import re
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import ClipRow, prepare_clip
from mmder_store.settings import PrepSettings
from synth import Synth, frames_of, lag_s, number_in, sounds_like, write

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
HOP_S, HALF_TRANSFORM_S = 0.01, 0.016
FIXED = PrepSettings(face_crop=False)
SPREAD = PrepSettings(face_crop=False, step_frames=None)
VARIABLE = tuple(np.cumsum(np.random.default_rng(5).uniform(0.005, 0.12, 75)) - 0.005)

X264: dict[str, Any] = {"video": "libx264"}
CLIPS = {
    "mp4 aac 25": Synth(fps=Fraction(25)),
    "mp4 aac 24000/1001": Synth(fps=FILM, rate_hz=48_000),
    "mp4 aac 30000/1001": Synth(fps=NTSC, rate_hz=48_000, layout="mono"),
    "mp4 aac 30": Synth(fps=Fraction(30), rate_hz=22_050),
    "mp4 aac 50": Synth(fps=Fraction(50), rate_hz=32_000),
    "mp4 aac 60": Synth(fps=Fraction(60), rate_hz=48_000),
    "mp4 aac 5.1": Synth(layout="5.1", rate_hz=48_000),
    "mp4 mp3": Synth(audio="libmp3lame"),
    "mp4 vfr": Synth(stamps_s=VARIABLE),
    "mp4 video late": Synth(video_start_s=0.437),
    "mp4 audio late": Synth(audio_start_s=0.3),
    "mov pcm": Synth(suffix="mov", audio="pcm_s16le", rate_hz=16_000, fps=NTSC),
    "mov both late": Synth(
        suffix="mov", audio="pcm_s16le", video_start_s=1.0, audio_start_s=0.8
    ),
    "mkv flac": Synth(suffix="mkv", audio="flac", fps=NTSC),
    "mkv pcm vfr": Synth(suffix="mkv", audio="pcm_s16le", stamps_s=VARIABLE),
    "mkv aac offset": Synth(suffix="mkv", video_start_s=0.25, audio_start_s=0.1),
    "webm vp9 opus": Synth(
        suffix="webm", video="libvpx-vp9", audio="libopus", rate_hz=48_000
    ),
    "webm vp9 opus late": Synth(
        suffix="webm",
        video="libvpx-vp9",
        audio="libopus",
        rate_hz=48_000,
        audio_start_s=0.3,
    ),
    "webm vp8 vorbis vfr": Synth(
        suffix="webm", video="libvpx", audio="vorbis", stamps_s=VARIABLE
    ),
    "avi mpeg4 pcm": Synth(suffix="avi", video="mpeg4", audio="pcm_s16le", fps=NTSC),
    "avi mjpeg pcm u8": Synth(
        suffix="avi", video="mjpeg", audio="pcm_u8", rate_hz=11_025, layout="mono"
    ),
    "avi mpeg4 mp3": Synth(suffix="avi", video="mpeg4", audio="libmp3lame", fps=NTSC),
    "mpg mpeg1 mp2": Synth(suffix="mpg", video="mpeg1video", audio="mp2"),
    "mpg video late": Synth(
        suffix="mpg", video="mpeg1video", audio="mp2", video_start_s=0.4
    ),
    "flv flv1 mp3": Synth(suffix="flv", video="flv", audio="libmp3lame", fps=NTSC),
    "flv h264 aac": Synth(suffix="flv", fps=NTSC),
    "ts h264 aac": Synth(suffix="ts", rate_hz=48_000, fps=Fraction(50)),
}
# Delay of the audio of a file against its video, in seconds. Containers round times (to
# milliseconds, or to 8 ms in the lead of an encoder). AVI has no field for the encoder
# delay, so its writer shifts the video by a whole frame instead.
SKEWS_S = {"avi mpeg4 mp3": (-0.0095, -0.0070)}
SKEW_S = (-0.0015, 0.0015)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alignment")


@cache
def write_named(folder: Path, name: str) -> Path:
    return write(folder / name.replace("/", "_"), CLIPS[name])


@cache
def all_frames(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return frames_of(write_named(folder, name))


@cache
def prepare(folder: Path, name: str, settings: PrepSettings) -> ClipRow:
    clip = Clip(clip_id=name, source=Source(write_named(folder, name)))
    row = prepare_clip(clip, settings, device="cpu")
    assert row.status == "ok"
    # Streams of some clips start late, or end early.
    assert re.fullmatch(r"(audio for [\d.]+ of the clip's [\d.]+ s)?", row.reason)
    return row


def frame_numbers(row: ClipRow) -> np.ndarray:
    """Return the number shown in every stored frame."""
    numbers = [number_in(frame) for frame in row.arrays["frames"]]
    assert None not in numbers
    return np.array(numbers)


def clock_s(folder: Path, name: str) -> float:
    """Return the offset of the file's clock to the design times.

    It is measured on the frames with a plain loop. The median ignores the first frame,
    which may be shifted, see `SKEWS_S`.
    """
    times_s, numbers = all_frames(folder, name)
    return float(np.median(times_s - CLIPS[name].frame_times_s[numbers.astype(int)]))


def skew_of(name: str) -> tuple[float, float]:
    return SKEWS_S.get(name, SKEW_S)


@pytest.mark.parametrize("settings", [FIXED, SPREAD], ids=["fixed", "spread"])
@pytest.mark.parametrize("name", list(CLIPS))
def test_stored_frame_is_the_one_on_screen_at_its_stored_time(
    folder: Path, name: str, settings: PrepSettings
) -> None:
    """Its time equals that of a plain loop, and no later frame had begun."""
    row = prepare(folder, name, settings)
    times_s, numbers = all_frames(folder, name)
    stored_s = row.arrays["frame_time_s"]
    indices = frame_numbers(row)
    assert (numbers == np.arange(len(numbers))).all()
    assert (stored_s == times_s[indices]).all()
    targets_s = row.arrays["window_16_s"].mean(axis=1)
    for target_s, index in zip(targets_s, indices, strict=True):
        lasts_s = np.diff(times_s, append=2 * times_s[-1] - times_s[-2])
        begins_s = times_s - np.minimum(0.021, np.append(0, lasts_s[:-1]) / 2)
        begun = [int((begins_s <= target_s + tie).sum()) for tie in (-1e-6, 1e-6)]
        assert index in [max(0, count - 1) for count in begun]
        is_last = index == len(times_s) - 1
        age_s = target_s - times_s[index]
        assert is_last or age_s < max(lasts_s[index], 0.021) + 1e-9


@pytest.mark.parametrize("fps", ["24000/1001", "25", "30000/1001", "30", "50", "60"])
def test_frames_are_within_half_a_frame_of_steps_of_a_fifth_of_a_second(
    folder: Path, fps: str
) -> None:
    """Paper: steps of 6 frames at 30 per second, at any frame rate of the file."""
    row = prepare(folder, f"mp4 aac {fps}", FIXED)
    off_s = frame_numbers(row) / float(Fraction(fps)) - 0.2 * np.arange(16)
    assert np.abs(off_s).max() <= 0.5 / float(Fraction(fps)) + 1e-6


@pytest.mark.parametrize("count", [16, 8])
@pytest.mark.parametrize("settings", [FIXED, SPREAD], ids=["fixed", "spread"])
@pytest.mark.parametrize("name", list(CLIPS))
def test_every_column_contains_the_tone_of_its_time(
    folder: Path, name: str, settings: PrepSettings, count: int
) -> None:
    """The time of a column is its window's start plus its hops, within one hop."""
    row, spec = prepare(folder, name, settings), CLIPS[name]
    stft = row.arrays[f"stft_{count}"].astype(float)
    bounds_s = row.arrays[f"window_{count}_s"]
    hops = (stft.shape[2] - 1) * np.ones(len(bounds_s))
    hop_s = np.diff(bounds_s)[:, 0] / hops
    assert hop_s == pytest.approx(hop_s[0])
    assert hop_s[0] <= HOP_S + 1e-9 or settings == SPREAD
    columns_s = bounds_s[:, :1] + hop_s[:, None] * np.arange(stft.shape[2])
    design_s = columns_s - clock_s(folder, name)
    peaks_hz = stft.argmax(axis=1) * 16_000 / 512
    low_s, high_s = spec.sound_bounds_s
    slack_s = np.array([-HOP_S, HOP_S]) - np.array(skew_of(name))[::-1]
    sounding = (design_s > low_s + 0.02) & (design_s < high_s - 0.02)
    assert sounding.sum() > 0.7 * sounding.size
    early, late = (spec.tones_hz(design_s + s) for s in slack_s)
    assert sounds_like(peaks_hz, early, late)[sounding].all()
    # Before and after the audio there is silence, except for an encoder's lead.
    lead_s = 0 if spec.audio in ("flac", "pcm_s16le", "pcm_u8") else 0.05
    reach_s = HALF_TRANSFORM_S + hop_s[0] + lead_s
    silent = (design_s < low_s - reach_s) | (design_s > high_s + reach_s)
    assert (stft.max(axis=1)[silent] == -100).all()
    if settings == FIXED and spec.video_start_s <= low_s:
        assert silent.any()


@pytest.mark.parametrize("name", list(CLIPS))
def test_video_and_audio_of_one_target_time_are_of_one_moment(
    folder: Path, name: str
) -> None:
    """Without any clock: the number in the frame and the tone in the middle column."""
    row, spec = prepare(folder, name, FIXED), CLIPS[name]
    moments_s = spec.frame_times_s[frame_numbers(row)]
    targets_s = row.arrays["window_16_s"].mean(axis=1)
    off_s = targets_s - row.arrays["frame_time_s"]
    if spec.stamps_s is None:
        assert np.abs(off_s).max() <= 0.5 / float(spec.fps) + 0.0011
    peaks_hz = row.arrays["stft_16"][:, :, 20].astype(float).argmax(axis=1) * 31.25
    low_s, high_s = spec.sound_bounds_s
    near = (moments_s > low_s + 0.05) & (moments_s < high_s - 0.05)
    assert near.sum() >= 12
    reach_s = HOP_S + 0.0095
    early = spec.tones_hz(moments_s + off_s - reach_s)
    late = spec.tones_hz(moments_s + off_s + reach_s)
    assert sounds_like(peaks_hz, early, late)[near].all()


@pytest.mark.parametrize("name", list(CLIPS))
def test_no_codec_delays_the_audio_against_the_video(folder: Path, name: str) -> None:
    """The priming of AAC, pre-skip of Opus and delay of MP3 are removed, to 1 ms.

    The delay is measured by correlation with the designed audio, to an eighth of a
    sample.
    """
    spec = CLIPS[name]
    decoded = read_clip(
        Clip(clip_id=name, source=Source(write_named(folder, name))), FIXED
    )
    delay_s, similarity = lag_s(decoded.audio, spec.wave(16_000), 16_000)
    assert similarity > 0.75
    start_s = decoded.audio_start_s + delay_s - clock_s(folder, name)
    low_s, high_s = skew_of(name)
    assert low_s <= start_s - spec.audio_start_s <= high_s


@pytest.mark.parametrize("start_s", [1.3, 7.43])
@pytest.mark.parametrize("name", ["mp4 aac 25", "mkv flac", "mpg mpeg1 mp2"])
def test_segment_of_a_longer_file_is_aligned(
    tmp_path: Path, name: str, start_s: float
) -> None:
    """This also holds after a seek, and no audio outside the segment is used."""
    spec = replace(CLIPS[name], duration_s=12.0)
    path = write(tmp_path / "x", spec)
    segment = Segment(start_s=start_s, stop_s=start_s + 2.5)
    clip = Clip(clip_id="x", source=Source(path), segment=segment)
    row = prepare_clip(clip, FIXED, device="cpu")
    times_s, _ = frames_of(path)
    assert (row.arrays["frame_time_s"] == times_s[frame_numbers(row)]).all()
    assert row.facts["clamped"] == 3  # target times at 2.6, 2.8 and 3.0 s
    clock = float(np.median(times_s - spec.frame_times_s))
    stft = row.arrays["stft_16"].astype(float)
    columns_s = row.arrays["window_16_s"][:, :1] + HOP_S * np.arange(41)
    inside = (columns_s > start_s + 0.02) & (columns_s < start_s + 2.48)
    outside = (columns_s < start_s - 0.017) | (columns_s > start_s + 2.517)
    peaks_hz = stft.argmax(axis=1) * 31.25
    tones = [spec.tones_hz(columns_s - clock + s) for s in (-HOP_S, HOP_S)]
    assert sounds_like(peaks_hz, *tones)[inside].all()
    assert (stft.max(axis=1)[outside] == -100).all()
    assert outside.sum() > 40
