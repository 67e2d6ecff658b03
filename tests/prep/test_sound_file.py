"""Picture and sound in two files: one clock, and the good one where one is bad."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmder_prep.corpora.manifest import read_manifest
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import ClipRow, prepare_clip
from mmder_store.settings import PrepSettings
from synth import Synth, number_in, sounds_like, write

SETTINGS = PrepSettings(face_crop=False)
WHOLE = Segment()
LENGTH_S = 12.0
MUTE = Synth(audio=None, duration_s=LENGTH_S, size_px=(96, 64))
SOUNDING = replace(MUTE, audio="aac", seed=20)
"""The picture's own file has other sound in it, which is not to be used."""
VOICE = Synth(
    suffix="wav",
    video=None,
    audio="pcm_s16le",
    duration_s=LENGTH_S,
    rate_hz=16_000,
    layout="mono",
)
VOICES = {
    "wav": VOICE,
    "mp3": replace(VOICE, suffix="mp3", audio="libmp3lame", rate_hz=44_100),
    "flac": replace(VOICE, suffix="flac", audio="flac"),
    "m4a": replace(VOICE, suffix="m4a", audio="aac", rate_hz=48_000),
    "mp4": replace(SOUNDING, seed=0),
}
"""What the sound may come from; the last has a picture too, which is not looked at."""
LATE_S = 0.224
"""First picture of late.mp4: 0.4 s, less the start of the sound, 24 ms of it AAC's."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pictures and the sounds."""
    folder = tmp_path_factory.mktemp("apart")
    write(folder / "mute", MUTE)
    write(folder / "sounding", SOUNDING)
    write(folder / "late", replace(SOUNDING, video_start_s=0.4, audio_start_s=0.2))
    for name, spec in VOICES.items():
        write(folder / f"voice-{name}", spec)
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(60))
    (folder / "broken.mp4").write_bytes(b"not a picture" * 9)
    (folder / "empty.wav").touch()
    return folder


def row_of(
    folder: Path,
    picture: str,
    sound: str,
    *,
    at_s: float | None = 0.0,
    part: Segment = WHOLE,
    settings: PrepSettings = SETTINGS,
) -> ClipRow:
    clip = Clip(
        clip_id="x",
        source=Source(folder / picture),
        audio=Source(folder / sound),
        audio_start_s=at_s,
        segment=part,
    )
    return prepare_clip(clip, settings, device="cpu")


def check_picture(row: ClipRow, late_s: float = 0.0, fps: float = 25.0) -> None:
    """The frame of each instant is the one on screen then."""
    shown = np.array([number_in(f) for f in row.arrays["frames"]], dtype=float)
    instants_s = row.arrays["window_16_s"].mean(axis=1)
    assert np.abs(shown / fps + late_s - instants_s).max() <= 0.5 / fps + 0.0011
    stored_s = row.arrays["frame_time_s"]
    assert stored_s == pytest.approx(shown / fps + late_s, abs=0.0011)


def check_sound(row: ClipRow, spec: Synth, at_s: float, part: Segment = WHOLE) -> None:
    """The tone of each column sounded then, where the sound's file starts at a time."""
    low_s, high_s = (at_s + bound_s for bound_s in spec.sound_bounds_s)
    low_s = max(low_s, -np.inf if part.start_s is None else part.start_s)
    high_s = min(high_s, np.inf if part.stop_s is None else part.stop_s)
    for count in (16, 8):
        stft = row.arrays[f"stft_{count}"].astype(float)
        columns_s = row.arrays[f"window_{count}_s"][:, :1] + 0.01 * np.arange(
            stft.shape[2]
        )
        peaks_hz = stft.argmax(axis=1) * 31.25
        inside = (columns_s > low_s + 0.02) & (columns_s < high_s - 0.02)
        assert inside.mean() > 0.5
        early, late = (spec.tones_hz(columns_s - at_s + s) for s in (-0.011, 0.011))
        assert sounds_like(peaks_hz, early, late)[inside].all()
        outside = (columns_s < low_s - 0.08) | (columns_s > high_s + 0.08)
        assert (stft.max(axis=1)[outside] == -100).all()


@pytest.mark.parametrize(
    ("picture", "kind"), [("mute.mp4", "wav"), *(("sounding.mp4", k) for k in VOICES)]
)
def test_sound_of_another_file_is_on_the_clock_of_the_picture(
    folder: Path, picture: str, kind: str
) -> None:
    row = row_of(folder, picture, f"voice-{kind}.{kind}")
    assert (row.status, row.reason) == ("ok", "")
    check_picture(row)
    check_sound(row, VOICES[kind], 0.0)
    assert row.facts["sound_rate_hz"] == VOICES[kind].rate_hz


@pytest.mark.parametrize(
    ("kind", "at_s"), [("wav", 0.31), ("mp3", 1.234), ("mp4", 0.31)]
)
def test_the_other_file_may_start_later(folder: Path, kind: str, at_s: float) -> None:
    row = row_of(folder, "sounding.mp4", f"voice-{kind}.{kind}", at_s=at_s)
    assert (row.status, row.reason) == ("ok", "")
    check_picture(row)
    check_sound(row, VOICES[kind], at_s)
    assert row.facts["sound_start_s"] == pytest.approx(at_s, abs=0.03)


def test_times_of_the_other_file_count_from_where_the_picture_s_file_starts(
    folder: Path,
) -> None:
    """Its own sound starts at 0.2 s, its picture at 0.4: the file starts at 0.2."""
    row = row_of(folder, "late.mp4", "voice-wav.wav", at_s=0.5)
    zero_s = row.facts["picture_start_s"] - row.arrays["frame_time_s"][0]
    assert zero_s == 0
    late_s = float(row.arrays["frame_time_s"][0])
    assert late_s == pytest.approx(0.4 - row.facts["media_start_s"], abs=0.002)
    check_picture(row, late_s=late_s)
    check_sound(row, VOICE, 0.5)


@pytest.mark.parametrize(
    ("kind", "start_s", "at_s"),
    [
        ("wav", 1.3, 0.31),
        ("wav", 7.43, 0.31),
        ("mp3", 7.43, 0.0),
        ("mp3", 7.43, 6.9),
        ("m4a", 7.43, 0.31),
        ("mp4", 7.43, 1.234),
    ],
)
def test_a_part_is_cut_from_both_also_where_it_is_sought(
    folder: Path, kind: str, start_s: float, at_s: float
) -> None:
    part = Segment(start_s=start_s, stop_s=start_s + 2.8)
    row = row_of(folder, "sounding.mp4", f"voice-{kind}.{kind}", at_s=at_s, part=part)
    assert (row.status, row.reason) == ("ok", "")
    assert row.arrays["window_16_s"].mean(axis=1)[0] == pytest.approx(start_s)
    shown = np.array([number_in(f) for f in row.arrays["frames"]], dtype=float)
    instants_s = np.minimum(row.arrays["window_16_s"].mean(axis=1), start_s + 2.8)
    assert np.abs(shown / 25 - instants_s).max() <= 0.045
    check_sound(row, VOICES[kind], at_s, part)


def test_steps_are_spread_over_the_picture_not_over_the_sound(folder: Path) -> None:
    long = replace(VOICE, duration_s=30.0)
    write(folder / "long", long)
    spread = PrepSettings(face_crop=False, step_frames=None)
    row = row_of(folder, "mute.mp4", "long.wav", settings=spread)
    assert 16 * row.facts["step_s"] == pytest.approx(LENGTH_S, abs=0.1)
    check_picture(row)


def test_without_pictures_only_the_other_file_is_read(folder: Path) -> None:
    audio = PrepSettings(modality="audio")
    row = row_of(folder, "broken.mp4", "voice-wav.wav", settings=audio)
    assert (row.status, row.reason) == ("ok", "")
    check_sound(row, VOICE, 0.0)


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        ("absent.wav", "No such file"),
        ("broken.wav", "not readable as media"),
        ("empty.wav", "the file is empty"),
        ("mute.mp4", "no sound in the file"),
    ],
)
@pytest.mark.parametrize("picture", ["mute.mp4", "sounding.mp4"])
def test_a_bad_sound_leaves_the_picture_and_says_why(
    folder: Path, picture: str, sound: str, why: str
) -> None:
    """The sound of the picture's own file does not step in for it."""
    row = row_of(folder, picture, sound)
    assert row.status == "no_audio"
    assert row.reason.startswith("sound file: ")
    assert why in row.reason
    assert "\n" not in row.reason
    check_picture(row)
    assert not row.arrays["stft_16"].any()
    assert np.isnan(row.facts["sound_rms_db"])


@pytest.mark.parametrize("picture", ["broken.mp4", "voice-wav.wav"])
def test_a_bad_picture_leaves_the_sound_and_says_why(
    folder: Path, picture: str
) -> None:
    row = row_of(folder, picture, "voice-wav.wav")
    assert row.status == "no_video"
    assert row.reason.startswith("picture: ")
    assert not row.arrays["frames"].any()
    check_sound(row, VOICE, 0.0)


def test_two_bad_files_are_a_failed_clip(folder: Path) -> None:
    row = row_of(folder, "broken.mp4", "broken.wav")
    assert row.status == "failed"
    assert row.reason
    assert not row.arrays["stft_16"].any()


def test_a_sound_that_ends_before_the_part_is_told(folder: Path) -> None:
    write(folder / "short", replace(VOICE, duration_s=1.0))
    part = Segment(start_s=7.0, stop_s=9.0)
    row = row_of(folder, "mute.mp4", "short.wav", part=part)
    assert row.status == "no_audio"
    assert "ends before" in row.reason or "no sound in this part" in row.reason


def test_the_manifest_names_the_other_file(folder: Path) -> None:
    """Columns sound and sound_at_s."""
    (folder / "m.csv").write_text(
        "clip_id,path,emotion,speaker,sound,sound_at_s\n"
        "a,sounding.mp4,happy,s,voice-wav.wav,0.31\n"
        "b,sounding.mp4,happy,s,,\n"
    )
    apart, own = read_manifest(folder / "m.csv", root=None).clips()
    assert own.audio is None
    check_sound(prepare_clip(own, SETTINGS, device="cpu"), SOUNDING, 0.0)
    check_sound(prepare_clip(apart, SETTINGS, device="cpu"), VOICE, 0.31)


@pytest.mark.parametrize("part", [WHOLE, Segment(start_s=6.0, stop_s=11.0)])
def test_a_sound_file_begins_with_the_first_picture_where_nothing_is_said(
    folder: Path, part: Segment
) -> None:
    """Whether the picture's file is read from its start or sought in."""
    row = row_of(folder, "late.mp4", "voice-wav.wav", at_s=None, part=part)
    assert row.status == "ok"
    check_sound(row, VOICE, LATE_S, part)
