"""Video and audio in two files: one clock, and the good file if one is bad."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmder_prep.corpora.manifest_file import read_manifest
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import ClipRow, prepare_clip
from mmder_store.settings import PrepSettings
from synth import Synth, number_in, sounds_like, write

SETTINGS = PrepSettings(face_crop=False)
WHOLE = Segment()
LENGTH_S = 12.0
MUTE = Synth(audio=None, duration_s=LENGTH_S, size_px=(96, 64))
WITH_AUDIO = replace(MUTE, audio="aac", seed=20)
"""A media file whose own audio track differs and must not be used."""
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
    "mp4": replace(WITH_AUDIO, seed=0),
}
"""Audio files by format; the last has a video stream, which must not be used."""
LATE_S = 0.224
"""Time of the first frame of late.mp4: 0.4 s, minus the start of the audio at 0.2 s,
plus 24 ms of AAC priming."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the media files and the audio files."""
    folder = tmp_path_factory.mktemp("apart")
    write(folder / "mute", MUTE)
    write(folder / "with-audio", WITH_AUDIO)
    write(folder / "late", replace(WITH_AUDIO, video_start_s=0.4, audio_start_s=0.2))
    for name, spec in VOICES.items():
        write(folder / f"voice-{name}", spec)
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(60))
    (folder / "broken.mp4").write_bytes(b"not a picture" * 9)
    (folder / "empty.wav").touch()
    return folder


def prepare(
    folder: Path,
    video: str,
    audio: str,
    *,
    at_s: float | None = 0.0,
    segment: Segment = WHOLE,
    settings: PrepSettings = SETTINGS,
) -> ClipRow:
    clip = Clip(
        clip_id="x",
        source=Source(folder / video),
        audio=Source(folder / audio),
        audio_start_s=at_s,
        segment=segment,
    )
    return prepare_clip(clip, settings, device="cpu")


def check_video(row: ClipRow, late_s: float = 0.0, fps: float = 25.0) -> None:
    """Check that the frame of each target time is the one on screen then."""
    numbers = np.array([number_in(f) for f in row.arrays["frames"]], dtype=float)
    targets_s = row.arrays["window_16_s"].mean(axis=1)
    assert np.abs(numbers / fps + late_s - targets_s).max() <= 0.5 / fps + 0.0011
    stored_s = row.arrays["frame_time_s"]
    assert stored_s == pytest.approx(numbers / fps + late_s, abs=0.0011)


def check_audio(
    row: ClipRow, spec: Synth, at_s: float, segment: Segment = WHOLE
) -> None:
    """Check the tone in each column, if the audio file starts at `at_s`."""
    low_s, high_s = (at_s + bound_s for bound_s in spec.sound_bounds_s)
    low_s = max(low_s, -np.inf if segment.start_s is None else segment.start_s)
    high_s = min(high_s, np.inf if segment.stop_s is None else segment.stop_s)
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
    ("video", "kind"), [("mute.mp4", "wav"), *(("with-audio.mp4", k) for k in VOICES)]
)
def test_audio_file_is_on_the_clock_of_the_video(
    folder: Path, video: str, kind: str
) -> None:
    row = prepare(folder, video, f"voice-{kind}.{kind}")
    assert (row.status, row.reason) == ("ok", "")
    check_video(row)
    check_audio(row, VOICES[kind], 0.0)
    assert row.facts["sound_rate_hz"] == VOICES[kind].rate_hz


@pytest.mark.parametrize(
    ("kind", "at_s"), [("wav", 0.31), ("mp3", 1.234), ("mp4", 0.31)]
)
def test_audio_file_may_start_later(folder: Path, kind: str, at_s: float) -> None:
    row = prepare(folder, "with-audio.mp4", f"voice-{kind}.{kind}", at_s=at_s)
    assert row.status == "ok"
    late = re.fullmatch(r"audio for ([\d.]+) of the clip's 3.20 s|", row.reason)
    assert late is not None
    if at_s > 0.3:
        assert float(late[1]) == pytest.approx(3.2 - at_s, abs=0.05)
    check_video(row)
    check_audio(row, VOICES[kind], at_s)
    assert row.facts["sound_start_s"] == pytest.approx(at_s, abs=0.03)


def test_start_of_the_audio_file_counts_from_the_start_of_the_media_file(
    folder: Path,
) -> None:
    """Its own audio starts at 0.2 s, its video at 0.4 s: the file starts at 0.2 s."""
    row = prepare(folder, "late.mp4", "voice-wav.wav", at_s=0.5)
    zero_s = row.facts["picture_start_s"] - row.arrays["frame_time_s"][0]
    assert zero_s == 0
    late_s = float(row.arrays["frame_time_s"][0])
    assert late_s == pytest.approx(0.4 - row.facts["media_start_s"], abs=0.002)
    check_video(row, late_s=late_s)
    check_audio(row, VOICE, 0.5)


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
def test_segment_is_taken_from_both_files(
    folder: Path, kind: str, start_s: float, at_s: float
) -> None:
    """Late segments are reached by seeking."""
    segment = Segment(start_s=start_s, stop_s=start_s + 2.8)
    row = prepare(
        folder, "with-audio.mp4", f"voice-{kind}.{kind}", at_s=at_s, segment=segment
    )
    assert (row.status, row.reason) == ("ok", "")
    assert row.arrays["window_16_s"].mean(axis=1)[0] == pytest.approx(start_s)
    numbers = np.array([number_in(f) for f in row.arrays["frames"]], dtype=float)
    targets_s = np.minimum(row.arrays["window_16_s"].mean(axis=1), start_s + 2.8)
    assert np.abs(numbers / 25 - targets_s).max() <= 0.045
    check_audio(row, VOICES[kind], at_s, segment)


def test_steps_are_spread_over_the_video_not_over_the_audio(folder: Path) -> None:
    long = replace(VOICE, duration_s=30.0)
    write(folder / "long", long)
    spread = PrepSettings(face_crop=False, step_frames=None)
    row = prepare(folder, "mute.mp4", "long.wav", settings=spread)
    assert 16 * row.facts["step_s"] == pytest.approx(LENGTH_S, abs=0.1)
    check_video(row)


def test_audio_modality_reads_only_the_audio_file(folder: Path) -> None:
    settings = PrepSettings(modality="audio")
    row = prepare(folder, "broken.mp4", "voice-wav.wav", settings=settings)
    assert (row.status, row.reason) == ("ok", "")
    check_audio(row, VOICE, 0.0)


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        ("absent.wav", "No such file"),
        ("broken.wav", "not readable as media"),
        ("empty.wav", "the file is empty"),
        ("mute.mp4", "no audio in the file"),
    ],
)
@pytest.mark.parametrize("video", ["mute.mp4", "with-audio.mp4"])
def test_bad_audio_file_keeps_the_video_and_a_reason(
    folder: Path, video: str, audio: str, why: str
) -> None:
    """The audio track of the media file does not replace it."""
    row = prepare(folder, video, audio)
    assert row.status == "no_audio"
    assert row.reason.startswith("audio file: ")
    assert why in row.reason
    assert "\n" not in row.reason
    check_video(row)
    assert not row.arrays["stft_16"].any()
    assert np.isnan(row.facts["sound_rms_db"])


@pytest.mark.parametrize("video", ["broken.mp4", "voice-wav.wav"])
def test_bad_media_file_keeps_the_audio_and_a_reason(folder: Path, video: str) -> None:
    row = prepare(folder, video, "voice-wav.wav")
    assert row.status == "no_video"
    assert row.reason.startswith("video: ")
    assert not row.arrays["frames"].any()
    check_audio(row, VOICE, 0.0)


def test_two_bad_files_are_a_failed_clip(folder: Path) -> None:
    row = prepare(folder, "broken.mp4", "broken.wav")
    assert row.status == "failed"
    assert row.reason
    assert not row.arrays["stft_16"].any()


def test_audio_file_that_ends_before_the_segment_is_a_reason(folder: Path) -> None:
    write(folder / "short", replace(VOICE, duration_s=1.0))
    segment = Segment(start_s=7.0, stop_s=9.0)
    row = prepare(folder, "mute.mp4", "short.wav", segment=segment)
    assert row.status == "no_audio"
    assert "ends before" in row.reason or "no audio in this part" in row.reason


def test_manifest_columns_select_the_audio_file(folder: Path) -> None:
    """The columns are `sound` and `sound_at_s`."""
    (folder / "m.csv").write_text(
        "clip_id,path,emotion,speaker,sound,sound_at_s\n"
        "a,with-audio.mp4,happy,s,voice-wav.wav,0.31\n"
        "b,with-audio.mp4,happy,s,,\n"
        "c,with-audio.mp4,happy,s,voice-wav.wav,-0.42\n"
    )
    separate, own, earlier = read_manifest(folder / "m.csv", root=None).clips()
    assert own.audio is None
    check_audio(prepare_clip(own, SETTINGS, device="cpu"), WITH_AUDIO, 0.0)
    check_audio(prepare_clip(separate, SETTINGS, device="cpu"), VOICE, 0.31)
    check_audio(prepare_clip(earlier, SETTINGS, device="cpu"), VOICE, -0.42)


@pytest.mark.parametrize("segment", [WHOLE, Segment(start_s=6.0, stop_s=11.0)])
def test_audio_file_starts_with_the_first_frame_by_default(
    folder: Path, segment: Segment
) -> None:
    """This holds if the media file is read from its start, and after a seek."""
    row = prepare(folder, "late.mp4", "voice-wav.wav", at_s=None, segment=segment)
    assert row.status == "ok"
    check_audio(row, VOICE, LATE_S, segment)
