"""Files to frames and audio: segments, steps, damaged files."""

import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_clips import CONTAINERS, WHOLE, decode, frame_numbers
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.source import Source
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings
from synth import Synth, lag_s, write

SETTINGS = PrepSettings(face_crop=False)
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("kind", list(CONTAINERS))
def test_late_segment_equals_reading_from_the_start(
    long_clips: dict[str, Path], kind: str
) -> None:
    """The late segment is sought; the other includes it and starts too early to be."""
    late = decode(long_clips[kind], Segment(start_s=12.4))
    from_start = decode(long_clips[kind], Segment(start_s=4.9), step_frames=22.5)
    assert late.schedule.target_times_s[0] == 12.4
    assert from_start.schedule.target_times_s[10] == pytest.approx(12.4)
    if CONTAINERS[kind].video is not None:
        numbers, expected_numbers = frame_numbers(late), frame_numbers(from_start)
        assert numbers[0] == expected_numbers[10]
        assert late.times_s[0] == from_start.times_s[10]
        assert numbers[15] == expected_numbers[14]  # 12.4 + 3 = 4.9 + 10.5
        assert len(set(numbers)) == 16
    if CONTAINERS[kind].audio is None:
        assert not len(late.audio)
        return
    assert late.audio_start_s == pytest.approx(12.4, abs=1e-4)
    assert len(late.audio) / 16_000 == pytest.approx(3.2, abs=1e-3)
    begin = round((late.audio_start_s - from_start.audio_start_s) * 16_000)
    expected = from_start.audio[begin : begin + len(late.audio)]
    # The resampling filter sees silence before the segment: skip the first 10 ms.
    delay_s, similarity = lag_s(late.audio[160:-160], expected[160:-160], 16_000)
    assert similarity > 0.995
    # FLV counts in milliseconds.
    assert abs(delay_s) < (1.1e-3 if kind == "flv" else 1e-4)


@pytest.mark.parametrize("start_s", [1.0, 7.0])
@pytest.mark.parametrize("kind", ["mp4", "avi", "mpg"])
def test_nothing_after_the_stop_is_part_of_the_clip(
    long_clips: dict[str, Path], kind: str, start_s: float
) -> None:
    segment = Segment(start_s=start_s, stop_s=start_s + 1.0)
    decoded = decode(long_clips[kind], segment)
    numbers = frame_numbers(decoded)
    assert len(set(numbers[:5])) == 5
    assert set(numbers[5:]) == {numbers[5]}
    assert start_s + 0.9 < decoded.times_s[5] < start_s + 1.0
    assert decoded.facts["clamped"] == 11
    assert len(decoded.audio) / 16_000 == pytest.approx(1.0, abs=1e-3)
    assert decoded.audio_start_s == pytest.approx(start_s, abs=1e-4)


def test_spread_steps_end_with_the_segment(long_clips: dict[str, Path]) -> None:
    decoded = decode(
        long_clips["mp4"], Segment(start_s=6.0, stop_s=9.0), step_frames=None
    )
    assert 2.9 < 16 * decoded.schedule.step_s <= 3.0
    numbers = frame_numbers(decoded)
    assert numbers[0] == 150
    assert len(set(numbers)) == 16
    assert decoded.facts["clamped"] == 0


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "mpg", "wav"])
def test_spread_steps_cover_the_whole_clip(
    short_clips: dict[str, Path], kind: str
) -> None:
    decoded = decode(short_clips[kind], step_frames=None)
    assert 1.9 < 16 * decoded.schedule.step_s <= 2.06
    assert decoded.facts.get("clamped", 0) == 0


@pytest.mark.parametrize("start_s", [4.9, 21.0, 300.0])
@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
def test_segment_after_the_end_of_the_audio_is_an_error(
    short_clips: dict[str, Path],
    long_clips: dict[str, Path],
    kind: str,
    start_s: float,
) -> None:
    path = short_clips["wav"] if start_s < 5 else long_clips[kind]
    with pytest.raises(MediaError, match=f"ends before the clip starts at {start_s}"):
        decode(path, Segment(start_s=start_s))
    with pytest.raises(MediaError, match=r"ends at .*, before the clip starts"):
        decode(path, Segment(start_s=start_s), step_frames=None)


@pytest.mark.parametrize("segment", [WHOLE, Segment(start_s=6.0)])
@pytest.mark.parametrize("step", [6.0, None])
def test_stream_without_time_stamps_is_an_error_that_says_so(
    tmp_path: Path, segment: Segment, step: float | None
) -> None:
    """Raw H.264 cannot be sought, and it has no times to read it by."""
    path = write(tmp_path / "x", Synth(suffix="h264", audio=None, duration_s=8.0))
    with pytest.raises(MediaError, match="raw stream without time stamps; put it into"):
        decode(path, segment, step_frames=step)


def test_packets_before_the_first_key_frame_after_a_seek_are_not_damaged(
    tmp_path: Path,
) -> None:
    """An MPEG program stream is sought to the middle of a group of pictures."""
    spec = Synth(
        suffix="mpg",
        video="mpeg2video",
        audio="mp2",
        duration_s=20.0,
        codec_options=(("bf", "2"),),
    )
    path = write(tmp_path / "x", spec)
    for start_s in (7.3, 12.3, 15.1):
        decoded = decode(path, Segment(start_s=start_s))
        assert decoded.facts["decode_errors"] == 0
        assert decoded.notes == ()


def test_file_that_cannot_be_read_to_its_end_is_noted(tmp_path: Path) -> None:
    """FFmpeg refuses a second stream of Vorbis with another sampling rate."""
    for rate_hz in (44_100, 48_000):
        write(
            tmp_path / str(rate_hz),
            Synth(
                suffix="ogg",
                video=None,
                audio="vorbis",
                rate_hz=rate_hz,
                duration_s=1.8,
            ),
        )
    path = tmp_path / "x.ogg"
    parts = [tmp_path / f"{rate_hz}.ogg" for rate_hz in (44_100, 48_000)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert any("not readable to its end" in note for note in decode(path).notes)


def test_audio_modality_decodes_no_frame(short_clips: dict[str, Path]) -> None:
    decoded = decode(short_clips["mp4"], modality="audio")
    assert decoded.frames == []
    assert "picture_start_s" not in decoded.facts
    # AAC fills its last block.
    assert len(decoded.audio) == pytest.approx(32_000, abs=400)


@pytest.mark.parametrize(
    ("video_s", "audio_s", "start_s"), [(0.5, 0.0, 0.5), (0.0, 0.7, 0.0)]
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
def test_clip_starts_with_its_first_frame(
    tmp_path: Path, kind: str, video_s: float, audio_s: float, start_s: float
) -> None:
    """Earlier audio fills the first window; later audio starts late."""
    spec = Synth(
        suffix=kind,
        audio="pcm_s16le" if kind == "mov" else "aac",
        video_start_s=video_s,
        audio_start_s=audio_s,
    )
    decoded = decode(write(tmp_path / "x", spec))
    assert decoded.schedule.target_times_s[0] == decoded.times_s[0]
    assert decoded.times_s[0] == pytest.approx(start_s, abs=1e-3)
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    low_s = max(audio_s, start_s - 0.4)
    assert decoded.audio_start_s == pytest.approx(low_s, abs=0.025)
    assert decoded.facts["sound_start_s"] == pytest.approx(audio_s, abs=0.025)


def test_archive_member_equals_the_file(
    short_clips: dict[str, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(short_clips["mp4"], "x.mp4")
    member = read_clip(
        Clip(clip_id="x", source=Source(tmp_path / "a.zip", "x.mp4")), SETTINGS
    )
    file = decode(short_clips["mp4"])
    assert frame_numbers(member) == frame_numbers(file)
    assert (member.audio == file.audio).all()


def test_decoding_ends_with_the_clip(tmp_path: Path) -> None:
    """Bytes after the last window may be damaged: they are never decoded."""
    spec = Synth(suffix="mkv", audio="flac", duration_s=20.0)
    path = write(tmp_path / "x", spec)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes(np.random.default_rng(0).bytes(half)))
    damaged = decode(path)
    path.write_bytes(whole)
    intact = decode(path)
    assert damaged.facts["decode_errors"] == 0
    assert frame_numbers(damaged) == frame_numbers(intact) == list(range(0, 80, 5))
    assert (damaged.audio == intact.audio).all()


def test_long_file_costs_about_as_much_as_a_short_one(tmp_path: Path) -> None:
    """A file 15 times as long takes less than four times as long."""

    def seconds(duration_s: float) -> float:
        path = write(tmp_path / f"{duration_s:.0f}", Synth(duration_s=duration_s))
        durations = []
        for _ in range(4):
            begin = time.process_time()
            decode(path)
            durations.append(time.process_time() - begin)
        return min(durations)

    assert seconds(60.0) < 4 * seconds(4.0)


@given(
    cut=st.floats(0, 1),
    at=st.floats(0, 1, exclude_max=True),
    damage=st.binary(max_size=64),
    segment=st.sampled_from(
        [WHOLE, Segment(start_s=0.7, stop_s=1.4), Segment(start_s=6.0)]
    ),
    auto=st.booleans(),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "mpg", "flv", "wav"])
def test_damaged_file_is_a_clip_or_a_media_error(
    short_clips: dict[str, Path],
    tmp_path: Path,
    kind: str,
    cut: float,
    at: float,
    damage: bytes,
    segment: Segment,
    auto: bool,
) -> None:
    """No damage raises any other exception, or makes the frame times go backwards."""
    whole = short_clips[kind].read_bytes()
    offset = int(at * len(whole))
    whole = whole[:offset] + damage + whole[offset + len(damage) :]
    path = tmp_path / short_clips[kind].name
    path.write_bytes(whole[: int(cut * len(whole)) if cut > 0.1 else None])
    try:
        decoded = decode(path, segment, step_frames=None if auto else 6.0)
    except MediaError:
        return
    assert len(decoded.frames) == len(decoded.times_s)
    assert len(decoded.frames) in (0, 16)
    assert (np.diff(decoded.times_s) >= 0).all()
    assert np.isfinite(decoded.audio).all()
    assert np.isfinite(decoded.schedule.step_s)
