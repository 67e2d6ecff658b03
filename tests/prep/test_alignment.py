"""The core claim, end to end: picture and sound of a row are of the same moment.

Frame k of these clips shows k and every tenth of a second has its own tone, so the
arrays of a row tell by themselves from which moment of the clip they are. Nothing
here trusts a time stamp that the code under test has read.
"""

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
    "mp4 picture late": Synth(video_start_s=0.437),
    "mp4 sound late": Synth(audio_start_s=0.3),
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
    "mpg picture late": Synth(
        suffix="mpg", video="mpeg1video", audio="mp2", video_start_s=0.4
    ),
    "flv flv1 mp3": Synth(suffix="flv", video="flv", audio="libmp3lame", fps=NTSC),
    "flv h264 aac": Synth(suffix="flv", fps=NTSC),
    "ts h264 aac": Synth(suffix="ts", rate_hz=48_000, fps=Fraction(50)),
}
# By how much the sound of a file is later than its pictures, in seconds: what the
# container rounds (milliseconds, or 8 of them in an encoder's lead), and AVI, which
# knows no encoder delay: its writer shifts the pictures by a whole frame for it.
SKEWS_S = {"avi mpeg4 mp3": (-0.0095, -0.0070)}
SKEW_S = (-0.0015, 0.0015)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alignment")


@cache
def made(folder: Path, name: str) -> Path:
    return write(folder / name.replace("/", "_"), CLIPS[name])


@cache
def all_frames(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return frames_of(made(folder, name))


@cache
def row_of(folder: Path, name: str, settings: PrepSettings) -> ClipRow:
    clip = Clip(clip_id=name, source=Source(made(folder, name)))
    row = prepare_clip(clip, settings, device="cpu")
    assert (row.status, row.reason) == ("ok", "")
    return row


def shown(row: ClipRow) -> np.ndarray:
    """Read the number in every stored crop."""
    found = [number_in(frame) for frame in row.arrays["frames"]]
    assert None not in found
    return np.array(found)


def clock_s(folder: Path, name: str) -> float:
    """Measure what the clock of the file adds to the times of the design.

    From its pictures, with a plain loop. The first may stand alone, see `SKEWS_S`.
    """
    times_s, numbers = all_frames(folder, name)
    return float(np.median(times_s - CLIPS[name].frame_times_s[numbers.astype(int)]))


def skew_of(name: str) -> tuple[float, float]:
    return SKEWS_S.get(name, SKEW_S)


@pytest.mark.parametrize("settings", [FIXED, SPREAD], ids=["fixed", "spread"])
@pytest.mark.parametrize("name", list(CLIPS))
def test_a_stored_frame_shows_what_was_on_screen_at_its_stored_time(
    folder: Path, name: str, settings: PrepSettings
) -> None:
    """Its time is that of a plain loop; it is the nearest that is not yet to come."""
    row = row_of(folder, name, settings)
    times_s, numbers = all_frames(folder, name)
    stored_s = row.arrays["frame_time_s"]
    places = shown(row)
    assert (numbers == np.arange(len(numbers))).all()
    assert (stored_s == times_s[places]).all()
    wanted_s = row.arrays["window_16_s"].mean(axis=1)
    for wanted, place in zip(wanted_s, places, strict=True):
        lasts = np.diff(times_s, append=2 * times_s[-1] - times_s[-2])
        begins_s = times_s - np.minimum(0.021, np.append(0, lasts[:-1]) / 2)
        begun = [int((begins_s <= wanted + tie).sum()) for tie in (-1e-6, 1e-6)]
        assert place in [max(0, count - 1) for count in begun]
        late = place == len(times_s) - 1
        assert late or wanted - times_s[place] < max(lasts[place], 0.021) + 1e-9


@pytest.mark.parametrize("fps", ["24000/1001", "25", "30000/1001", "30", "50", "60"])
def test_frames_are_within_half_a_frame_of_steps_of_a_fifth_second(
    folder: Path, fps: str
) -> None:
    """Paper: six frames at thirty a second, whatever the rate of the file."""
    row = row_of(folder, f"mp4 aac {fps}", FIXED)
    off_s = shown(row) / float(Fraction(fps)) - 0.2 * np.arange(16)
    assert np.abs(off_s).max() <= 0.5 / float(Fraction(fps)) + 1e-6


@pytest.mark.parametrize("count", [16, 8])
@pytest.mark.parametrize("settings", [FIXED, SPREAD], ids=["fixed", "spread"])
@pytest.mark.parametrize("name", list(CLIPS))
def test_every_column_holds_the_tone_that_sounded_at_its_time(
    folder: Path, name: str, settings: PrepSettings, count: int
) -> None:
    """Time of a column: start of its window and its number of hops; within one hop."""
    row, spec = row_of(folder, name, settings), CLIPS[name]
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
    # Before the sound and after it there is silence, beyond an encoder's lead.
    lead_s = 0 if spec.audio in ("flac", "pcm_s16le", "pcm_u8") else 0.05
    reach_s = HALF_TRANSFORM_S + hop_s[0] + lead_s
    silent = (design_s < low_s - reach_s) | (design_s > high_s + reach_s)
    assert (stft.max(axis=1)[silent] == -100).all()
    if settings == FIXED and spec.video_start_s <= low_s:
        assert silent.any()


@pytest.mark.parametrize("name", list(CLIPS))
def test_picture_and_sound_of_one_instant_are_of_one_moment(
    folder: Path, name: str
) -> None:
    """No clock at all: the number in the crop against the tone in the middle column."""
    row, spec = row_of(folder, name, FIXED), CLIPS[name]
    moments_s = spec.frame_times_s[shown(row)]
    instants_s = row.arrays["window_16_s"].mean(axis=1)
    off_s = instants_s - row.arrays["frame_time_s"]
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
def test_no_codec_delays_the_sound_against_the_picture(folder: Path, name: str) -> None:
    """Priming of AAC, pre-skip of Opus, delay of MP3: gone, to a millisecond.

    Measured by correlation with the sound of the design, to an eighth of a sample.
    """
    spec = CLIPS[name]
    take = read_clip(Clip(clip_id=name, source=Source(made(folder, name))), FIXED)
    later_s, like = lag_s(take.audio, spec.wave(16_000), 16_000)
    assert like > 0.75
    seen_s = take.audio_start_s + later_s - clock_s(folder, name)
    low_s, high_s = skew_of(name)
    assert low_s <= seen_s - spec.audio_start_s <= high_s


@pytest.mark.parametrize("start_s", [1.3, 7.43])
@pytest.mark.parametrize("name", ["mp4 aac 25", "mkv flac", "mpg mpeg1 mp2"])
def test_a_part_of_a_longer_file_is_as_aligned(
    tmp_path: Path, name: str, start_s: float
) -> None:
    """Also where it is sought; and no sound from before the part is in its windows."""
    spec = replace(CLIPS[name], duration_s=12.0)
    path = write(tmp_path / "x", spec)
    part = Segment(start_s=start_s, stop_s=start_s + 2.5)
    clip = Clip(clip_id="x", source=Source(path), segment=part)
    row = prepare_clip(clip, FIXED, device="cpu")
    times_s, _ = frames_of(path)
    assert (row.arrays["frame_time_s"] == times_s[shown(row)]).all()
    assert row.facts["clamped"] == 3  # instants at 2.6, 2.8 and 3.0 s
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
