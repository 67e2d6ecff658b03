"""Times of frames in containers without presentation times, against other containers.

Every frame shows its number, so the right time of a frame is known without any stamp.
"""

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from media_clips import decode, frame_numbers
from mmder_prep.media.clip import Segment
from synth import Synth, frames_of, write

FPS = 25
CODECS = {
    "h264": Synth(suffix="mkv", audio=None, codec_options=(("bf", "0"),)),
    "h264 bf 2": Synth(
        suffix="mkv",
        audio=None,
        codec_options=(("x264-params", "bframes=2:b-adapt=0"),),
    ),
    "h264 pyramid": Synth(
        suffix="mkv",
        audio=None,
        codec_options=(("x264-params", "bframes=7:b-adapt=0:b-pyramid=normal"),),
    ),
    "mpeg4 bf 1": Synth(
        suffix="mkv", audio=None, video="mpeg4", codec_options=(("bf", "1"),)
    ),
    "mpeg4 bf 2": Synth(
        suffix="mkv", audio=None, video="mpeg4", codec_options=(("bf", "2"),)
    ),
    "mpeg2 bf 2": Synth(
        suffix="mkv", audio=None, video="mpeg2video", codec_options=(("bf", "2"),)
    ),
}
CODECS |= {
    name: Synth(
        suffix="mkv",
        audio=None,
        video="libx265",
        codec_options=(("x265-params", f"{params}:b-adapt=0:log-level=none"),),
    )
    for name, params in (
        ("hevc", "bframes=0"),
        ("hevc bf 2", "bframes=2:b-pyramid=0"),
        ("hevc pyramid", "bframes=7:b-pyramid=1"),
    )
    if "libx265" in av.codecs_available
}
START_CODES = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Filters that put start codes before the units of a codec, as AVI has them."""
STORED = {
    "mkv": CODECS["h264 pyramid"],
    "mp4": CODECS["h264 pyramid"],
    "ts": CODECS["h264 bf 2"],
    "mpg": CODECS["mpeg2 bf 2"],
}
"""Containers that store presentation times."""
DUMMY = b"\0\0\1\xb6\x51\0\x7f"
"""A frame of MPEG-4 that is not coded: what follows a packed pair."""


def into_avi(path: Path, name: str, *, packed: bool = False) -> Path:
    """Copy the packets of a clip into AVI, one per frame, in decoding order.

    Args:
        path: A Matroska file.
        name: Name of the new file.
        packed: Pack every B-frame of MPEG-4 with the frame before it, as DivX does.
    """
    target = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(target), "w") as avi:
        video = source.streams.video[0]
        found = [p for p in source.demux(video) if p.size]
        keys = [p.is_keyframe for p in found]
        if video.codec_context.name in START_CODES:
            convert = BitStreamFilterContext(
                START_CODES[video.codec_context.name], video
            )
            found = [c for p in found for c in convert.filter(p)]
        coded = [bytes(p) for p in found]
        if packed:
            coded = pack(coded)
        if video.codec_context.name == "hevc":
            # FFmpeg reads HEVC from AVI but does not write it. MJPEG has no header.
            stream = avi.add_stream("mjpeg", rate=FPS)
            stream.width, stream.height = video.width, video.height
            stream.pix_fmt = "yuvj420p"
        else:
            stream = avi.add_stream_from_template(video, opaque=True)
        for index, content in enumerate(coded):
            packet = av.Packet(content)
            packet.pts = packet.dts = index
            packet.time_base = stream.time_base = Fraction(1, FPS)
            packet.stream, packet.is_keyframe = stream, keys[index]
            avi.mux(packet)
    if video.codec_context.name == "hevc":
        content = target.read_bytes()
        assert content[:400].count(b"MJPG") == 2
        target.write_bytes(content.replace(b"MJPG", b"HEVC", 2))
    return target


def pack(coded: list[bytes]) -> list[bytes]:
    """Return packets in which DivX's encoder packs two frames."""
    kinds = [c[c.index(b"\0\0\1\xb6") + 4] >> 6 for c in coded]
    packets, at = [], 0
    while at < len(coded):
        pair = at + 1 < len(coded) and kinds[at + 1] == 2
        packets += [coded[at] + coded[at + 1], DUMMY] if pair else [coded[at]]
        at += 1 + pair
    start = packets[0].index(b"\0\0\1\xb6")
    mark = b"\0\0\1\xb2DivX503b1393p\0"
    return [packets[0][:start] + mark + packets[0][start:], *packets[1:]]


@pytest.mark.parametrize("segment", [Segment(), Segment(start_s=6.52)])
@pytest.mark.parametrize("name", list(CODECS))
def test_avi_has_the_frames_of_matroska(
    tmp_path: Path, name: str, segment: Segment
) -> None:
    """The second segment is sought."""
    spec = replace(CODECS[name], duration_s=11.0)
    path = write(tmp_path / "x", spec)
    expected = decode(path, segment)
    decoded = decode(into_avi(path, "y.avi"), segment)
    assert frame_numbers(decoded) == frame_numbers(expected)
    np.testing.assert_allclose(decoded.times_s, expected.times_s, atol=0.0006)
    first = round((segment.start_s or 0.0) * FPS)
    assert frame_numbers(decoded) == list(range(first, first + 80, 5))
    assert decoded.facts["picture_fps"] == pytest.approx(FPS)
    assert decoded.facts["decode_errors"] == 0


def test_packed_frames_of_divx_have_their_times(tmp_path: Path) -> None:
    path = write(tmp_path / "x", CODECS["mpeg4 bf 1"])
    decoded = decode(into_avi(path, "y.avi", packed=True))
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    np.testing.assert_allclose(decoded.times_s, np.arange(0, 80, 5) / FPS, atol=1e-9)
    assert decoded.facts["picture_fps"] == pytest.approx(FPS)


def probed_times_s(path: Path) -> np.ndarray:
    """Return the best-effort times of all frames, as stored in the file.

    FFmpeg has none for the last frames of some files, which its decoder holds back.
    """
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    words += ["-show_entries", "frame=best_effort_timestamp_time", str(path)]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    frames = json.loads(output)["frames"]
    return np.array([float(f.get("best_effort_timestamp_time", "nan")) for f in frames])


needs_ffprobe = pytest.mark.skipif(
    shutil.which("ffprobe") is None, reason="ffprobe is missing"
)


@needs_ffprobe
@pytest.mark.parametrize("suffix", STORED)
def test_stored_times_are_those_of_ffprobe(tmp_path: Path, suffix: str) -> None:
    """B-frames are reordered, and the streams start late."""
    spec = replace(STORED[suffix], suffix=suffix, audio="mp2", video_start_s=0.52)
    path = write(tmp_path / "x", spec)
    probed_s = probed_times_s(path)
    decoded = decode(path)
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    times_s = decoded.times_s + decoded.facts["media_start_s"]
    np.testing.assert_allclose(times_s, probed_s[:80:5], atol=1e-3)


@needs_ffprobe
@pytest.mark.parametrize("name", list(CODECS))
def test_times_differ_from_those_of_ffprobe_by_the_reorder_delay(
    tmp_path: Path, name: str
) -> None:
    """FFmpeg's best guess is late by the whole frames that its decoder waits."""
    path = into_avi(write(tmp_path / "x", CODECS[name]), "y.avi")
    guessed_s = probed_times_s(path)[:80]
    decoded = decode(path)
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    late_s = guessed_s[::5] - decoded.times_s
    assert np.ptp(late_s) < 1e-6
    assert late_s[0] * FPS == pytest.approx(round(late_s[0] * FPS), abs=1e-4)
    assert 0 <= late_s[0] * FPS < 4


def test_disordered_presentation_times_yield_to_decoding_times(tmp_path: Path) -> None:
    """A remultiplexer without reordering wrote the decoding order as the shown one."""
    path = write(tmp_path / "x", CODECS["h264 bf 2"])
    target = tmp_path / "y.mkv"
    with av.open(str(path)) as source, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = index * 40
                packet.time_base, packet.stream = Fraction(1, 1000), stream
                copy.mux(packet)
    decoded = decode(target)
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    assert decoded.facts["picture_fps"] == pytest.approx(FPS)
    times_s, _ = frames_of(path)
    steps_s = decoded.times_s - decoded.times_s[0]
    np.testing.assert_allclose(steps_s, times_s[:80:5] - times_s[0], atol=0.002)
