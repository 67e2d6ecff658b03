"""Files to pictures and sound: parts, damage, and what is no media at all."""

import socket
import struct
import time
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.stream import VideoStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import DecodedClip, read_clip
from mmder_prep.media.picture import VideoPicture
from mmder_prep.media.source import Source
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings
from synth import Synth, lag_s, number_in, write

SETTINGS = PrepSettings(face_crop=False)
WHOLE = Segment()
pytestmark = pytest.mark.timeout(60)


def take_of(path: Path, part: Segment = WHOLE, **changes: Any) -> DecodedClip:
    return read_clip(
        Clip(clip_id="x", source=Source(path), segment=part),
        PrepSettings(face_crop=False, **changes),
    )


def numbers(take: DecodedClip) -> list[int | None]:
    return [number_in(p.rgb()) for p in take.frames]


LONG = {
    "mp4": Synth(video="libx264", audio="aac"),
    "mov": Synth(suffix="mov", audio="pcm_s16le", rate_hz=16_000),
    "mkv": Synth(suffix="mkv", audio="flac", rate_hz=16_000),
    "webm": Synth(suffix="webm", video="libvpx-vp9", audio="libopus", rate_hz=48_000),
    "avi": Synth(suffix="avi", video="mpeg4", audio="pcm_s16le"),
    "avi-mp3": Synth(suffix="avi", video="mpeg4", audio="libmp3lame"),
    "mpg": Synth(suffix="mpg", video="mpeg1video", audio="mp2"),
    "flv": Synth(suffix="flv", video="flv", audio="libmp3lame"),
    "ts": Synth(suffix="ts", video="libx264", audio="aac", rate_hz=48_000),
    "wav": Synth(suffix="wav", video=None, audio="pcm_s16le", rate_hz=16_000),
    "flac": Synth(suffix="flac", video=None, audio="flac", rate_hz=16_000),
    "mp3": Synth(suffix="mp3", video=None, audio="libmp3lame"),
    "ivf": Synth(suffix="ivf", video="libvpx-vp9", audio=None),
}


@pytest.fixture(scope="session")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give twenty seconds of each container."""
    folder = tmp_path_factory.mktemp("long")
    return {
        name: write(folder / name, Synth(**{**vars(spec), "duration_s": 20.0}))
        for name, spec in LONG.items()
    }


@pytest.fixture(scope="session")
def short_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give two seconds of some containers."""
    folder = tmp_path_factory.mktemp("short")
    return {
        name: write(folder / name, Synth(**{**vars(LONG[name]), "duration_s": 2.0}))
        for name in ("mp4", "mkv", "webm", "avi", "mpg", "flv", "wav")
    }


@pytest.mark.parametrize("kind", list(LONG))
def test_a_late_part_is_what_a_reader_from_the_start_finds_there(
    long_clips: dict[str, Path], kind: str
) -> None:
    """The late part is sought; the other covers it, and begins too early."""
    late = take_of(long_clips[kind], Segment(start_s=12.4))
    from_start = take_of(long_clips[kind], Segment(start_s=4.9), step_frames=22.5)
    assert (from_start.target_times_s[10], late.target_times_s[0]) == (
        pytest.approx(12.4),
        12.4,
    )
    if LONG[kind].video is not None:
        assert numbers(late)[0] == numbers(from_start)[10]
        assert late.times_s[0] == from_start.times_s[10]
        assert numbers(late)[15] == numbers(from_start)[14]  # 12.4 + 3 = 4.9 + 10.5
        assert len(set(numbers(late))) == 16
    if LONG[kind].audio is None:
        assert not len(late.audio)
        return
    assert late.audio_start_s == pytest.approx(12.4, abs=1e-4)
    assert len(late.audio) / 16_000 == pytest.approx(3.2, abs=1e-3)
    begin = round((late.audio_start_s - from_start.audio_start_s) * 16_000)
    expected = from_start.audio[begin : begin + len(late.audio)]
    # The filter of the resampler sees silence before the part, so not the first 10 ms.
    apart_s, like = lag_s(late.audio[160:-160], expected[160:-160], 16_000)
    assert like > 0.995
    # FLV counts in milliseconds.
    assert abs(apart_s) < (1.1e-3 if kind == "flv" else 1e-4)


@pytest.mark.parametrize("start_s", [1.0, 7.0])
@pytest.mark.parametrize("kind", ["mp4", "avi", "mpg"])
def test_nothing_from_the_stop_on_is_part_of_the_clip(
    long_clips: dict[str, Path], kind: str, start_s: float
) -> None:
    take = take_of(long_clips[kind], Segment(start_s=start_s, stop_s=start_s + 1.0))
    shown = numbers(take)
    assert len(set(shown[:5])) == 5
    assert set(shown[5:]) == {shown[5]}
    assert start_s + 0.9 < take.times_s[5] < start_s + 1.0
    assert take.facts["clamped"] == 11
    assert len(take.audio) / 16_000 == pytest.approx(1.0, abs=1e-3)
    assert take.audio_start_s == pytest.approx(start_s, abs=1e-4)


def test_steps_spread_over_a_part_end_with_it(long_clips: dict[str, Path]) -> None:
    take = take_of(
        long_clips["mp4"], Segment(start_s=6.0, stop_s=9.0), step_frames=None
    )
    assert 2.9 < 16 * take.step_s <= 3.0
    shown = numbers(take)
    assert shown[0] == 150
    assert len(set(shown)) == 16
    assert take.facts["clamped"] == 0


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "mpg", "wav"])
def test_steps_spread_over_the_whole_clip(
    short_clips: dict[str, Path], kind: str
) -> None:
    take = take_of(short_clips[kind], step_frames=None)
    assert 1.9 < 16 * take.step_s <= 2.06
    assert take.facts.get("clamped", 0) == 0


@pytest.mark.parametrize("start_s", [4.9, 21.0, 300.0])
@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
def test_a_part_behind_the_end_of_a_sound_is_an_error(
    short_clips: dict[str, Path],
    long_clips: dict[str, Path],
    kind: str,
    start_s: float,
) -> None:
    path = short_clips["wav"] if start_s < 5 else long_clips[kind]
    with pytest.raises(MediaError, match=f"ends before the clip starts at {start_s}"):
        take_of(path, Segment(start_s=start_s))
    with pytest.raises(MediaError, match=r"ends at .*, before the clip starts"):
        take_of(path, Segment(start_s=start_s), step_frames=None)


def test_a_stream_that_cannot_be_sought_is_read_from_the_start(tmp_path: Path) -> None:
    """Raw H.264 knows no times at all: an error, and one that the run survives."""
    path = write(tmp_path / "x", Synth(suffix="h264", audio=None, duration_s=8.0))
    with pytest.raises(MediaError, match="nothing in it can be decoded"):
        take_of(path, Segment(start_s=6.0))


def test_modality_audio_never_looks_at_pictures(short_clips: dict[str, Path]) -> None:
    take = take_of(short_clips["mp4"], modality="audio")
    assert take.frames == []
    assert "picture_start_s" not in take.facts
    assert len(take.audio) == pytest.approx(32_000, abs=400)  # AAC fills its last block


@pytest.mark.parametrize(
    ("video_s", "audio_s", "start_s"), [(0.5, 0.0, 0.5), (0.0, 0.7, 0.0)]
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
def test_a_clip_begins_with_its_first_picture(
    tmp_path: Path, kind: str, video_s: float, audio_s: float, start_s: float
) -> None:
    """Sound before it fills the first window, sound that begins later is late."""
    spec = Synth(
        suffix=kind,
        audio="pcm_s16le" if kind == "mov" else "aac",
        video_start_s=video_s,
        audio_start_s=audio_s,
    )
    take = take_of(write(tmp_path / "x", spec))
    assert take.target_times_s[0] == take.times_s[0] == pytest.approx(start_s, abs=1e-3)
    assert numbers(take) == list(range(0, 80, 5))
    low_s = max(audio_s, start_s - 0.4)
    assert take.audio_start_s == pytest.approx(low_s, abs=0.025)
    assert take.facts["sound_start_s"] == pytest.approx(audio_s, abs=0.025)


def test_a_member_of_an_archive_is_as_the_file(
    short_clips: dict[str, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(short_clips["mp4"], "x.mp4")
    inside = read_clip(
        Clip(clip_id="x", source=Source(tmp_path / "a.zip", "x.mp4")), SETTINGS
    )
    outside = take_of(short_clips["mp4"])
    assert numbers(inside) == numbers(outside)
    assert (inside.audio == outside.audio).all()


@pytest.mark.skipif(
    not hasattr(VideoStream, "set_display_rotation"),
    reason="this PyAV cannot write a rotation",
)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    """A picture that stands on its side in the file, and says so, stands upright."""
    spec = Synth(audio=None, duration_s=1.0, size_px=(192, 128), rotation=degrees)
    take = take_of(write(tmp_path / "x", spec))
    size_px = (192, 128) if degrees == 180 else (128, 192)
    stored = [take.frames[0].frame.to_ndarray(format="rgb24")]
    assert number_in(stored[0]) == 0
    assert take.frames[0].size_px == size_px
    shown = take.frames[3].rgb()
    assert shown.shape == (*size_px[::-1], 3)
    # FFmpeg's rotation is anticlockwise: turned back, the number can be read again.
    assert number_in(np.rot90(shown, -degrees // 90)) == 15
    assert number_in(shown) is None
    small = take.frames[3].rgb(96)
    assert max(small.shape[:2]) == 96
    assert number_in(np.rot90(small, -degrees // 90)) == 15


@pytest.mark.skipif(
    not hasattr(VideoStream, "set_display_rotation"),
    reason="this PyAV cannot write a rotation",
)
@pytest.mark.parametrize(("degrees", "size_px"), [(357, (192, 128)), (93, (128, 192))])
def test_of_an_odd_angle_the_nearest_quarter_is_taken(
    tmp_path: Path, degrees: int, size_px: tuple[int, int]
) -> None:
    spec = Synth(audio=None, duration_s=1.0, size_px=(192, 128), rotation=degrees)
    picture = take_of(write(tmp_path / "x", spec)).frames[3]
    assert picture.size_px == size_px
    assert number_in(np.rot90(picture.rgb(), -round(degrees / 90))) == 15


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    take = take_of(write(tmp_path / "x", Synth(audio=None, duration_s=1.0)))
    wide = VideoPicture(take.frames[0].frame, Fraction(4, 3))
    assert wide.size_px == (256, 128)
    assert wide.rgb().shape == (128, 256, 3)


def test_decoding_ends_where_the_clip_does(tmp_path: Path) -> None:
    """Ruin everything behind the last window: it is never seen."""
    spec = Synth(suffix="mkv", audio="flac", duration_s=20.0)
    path = write(tmp_path / "x", spec)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes(np.random.default_rng(0).bytes(half)))
    ruined = take_of(path)
    path.write_bytes(whole)
    sound = take_of(path)
    assert ruined.facts["decode_errors"] == 0
    assert numbers(ruined) == numbers(sound) == list(range(0, 80, 5))
    assert (ruined.audio == sound.audio).all()


def test_a_long_file_costs_about_what_a_short_one_does(tmp_path: Path) -> None:
    """Fifteen times as long, and less than four times the time."""

    def seconds(duration_s: float) -> float:
        path = write(tmp_path / f"{duration_s:.0f}", Synth(duration_s=duration_s))
        taken = []
        for _ in range(4):
            begin = time.process_time()
            take_of(path)
            taken.append(time.process_time() - begin)
        return min(taken)

    assert seconds(60.0) < 4 * seconds(4.0)


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(3 * 64)) * 64)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def test_cover_art_is_not_a_picture(
    long_clips: dict[str, Path], tmp_path: Path
) -> None:
    art = b"\0image/png\0\3\0" + png()
    frame = b"APIC" + struct.pack(">I", len(art)) + b"\0\0" + art
    size = bytes(len(frame) >> s & 127 for s in (21, 14, 7, 0))
    path = tmp_path / "x.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + frame + long_clips["mp3"].read_bytes())
    take = take_of(path)
    assert take.frames == []
    assert len(take.audio) == pytest.approx(51_200, abs=16)


NO_MEDIA = {
    "empty": (b"", "the file is empty"),
    "text": (b"this is a text, and no media at all\n" * 50, "not readable as media"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "git-lfs pointer.*git lfs pull",
    ),
    "noise": (np.random.default_rng(1).bytes(50_000), "not readable as media|neither"),
    "zeros": (bytes(50_000), "not readable as media|neither|nothing in it"),
    "png": (png(), "not readable as media"),
    "html": (b"<!DOCTYPE html><html>404</html>", "not readable as media"),
}


@pytest.mark.parametrize("suffix", ["mp4", "flv", "wav", "mpg"])
@pytest.mark.parametrize("kind", list(NO_MEDIA))
def test_what_is_no_media_is_told_in_one_line(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    content, match = NO_MEDIA[kind]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=match) as caught:
        take_of(path)
    assert "\n" not in str(caught.value)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{url}</BaseURL>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1"/></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
}


@pytest.mark.parametrize("target", ["file", "host"])
@pytest.mark.parametrize("kind", list(PLAYLISTS))
def test_a_playlist_opens_neither_files_nor_hosts(
    short_clips: dict[str, Path], tmp_path: Path, kind: str, target: str
) -> None:
    """It names a good clip, which would be read, or a host, which would be called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}/x.ts"
        if target == "file":
            url = str(short_clips["mpg"])
        path = tmp_path / "x.mp4"
        path.write_text(PLAYLISTS[kind].format(url=url, port=port))
        with pytest.raises(MediaError, match="not readable as media"):
            take_of(path)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_an_mp4_cut_short_is_an_error(
    short_clips: dict[str, Path], tmp_path: Path, share: float
) -> None:
    """Its table lies at the end."""
    whole = short_clips["mp4"].read_bytes()
    path = tmp_path / "x.mp4"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(MediaError, match="not readable as media"):
        take_of(path)


@pytest.mark.parametrize(
    ("unknown", "pictures", "sound"),
    [(("V_MPEG4",), 0, True), (("A_FLAC",), 16, False)],
    ids=["picture", "sound"],
)
def test_a_stream_of_an_unknown_codec_is_as_if_it_was_not_there(
    short_clips: dict[str, Path],
    tmp_path: Path,
    unknown: tuple[str, ...],
    pictures: int,
    sound: bool,
) -> None:
    take = take_of(renamed(short_clips["mkv"], tmp_path, *unknown))
    assert len(take.frames) == pictures
    assert bool(len(take.audio)) == sound


def test_without_a_known_codec_there_is_neither_picture_nor_sound(
    short_clips: dict[str, Path], tmp_path: Path
) -> None:
    path = renamed(short_clips["mkv"], tmp_path, "V_MPEG4", "A_FLAC")
    with pytest.raises(MediaError, match="neither picture nor sound"):
        take_of(path)


def renamed(clip: Path, folder: Path, *codecs: str) -> Path:
    """Copy a clip, with names of codecs that nobody knows."""
    whole = clip.read_bytes()
    for codec in codecs:
        assert codec.encode() in whole
        whole = whole.replace(
            codec.encode(), codec[:2].encode() + b"Z" * len(codec[2:])
        )
    path = folder / clip.name
    path.write_bytes(whole)
    return path


@given(
    cut=st.floats(0, 1),
    at=st.floats(0, 1, exclude_max=True),
    damage=st.binary(max_size=64),
    part=st.sampled_from(
        [WHOLE, Segment(start_s=0.7, stop_s=1.4), Segment(start_s=6.0)]
    ),
    auto=st.booleans(),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "mpg", "flv", "wav"])
def test_a_damaged_file_is_a_clip_or_a_media_error(
    short_clips: dict[str, Path],
    tmp_path: Path,
    kind: str,
    cut: float,
    at: float,
    damage: bytes,
    part: Segment,
    auto: bool,
) -> None:
    """Whatever happens to its bytes: nothing else is raised, and no time goes back."""
    whole = short_clips[kind].read_bytes()
    place = int(at * len(whole))
    whole = whole[:place] + damage + whole[place + len(damage) :]
    path = tmp_path / short_clips[kind].name
    path.write_bytes(whole[: int(cut * len(whole)) if cut > 0.1 else None])
    try:
        take = take_of(path, part, step_frames=None if auto else 6.0)
    except MediaError:
        return
    assert len(take.frames) == len(take.times_s)
    assert len(take.frames) in (0, 16)
    assert (np.diff(take.times_s) >= 0).all()
    assert np.isfinite(take.audio).all()
    assert np.isfinite(take.step_s)
