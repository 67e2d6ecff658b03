"""Files with false headers: one clear line, and bounded time and memory."""

import resource
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import synth
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import ClipRow, prepare_clip
from mmder_store.settings import PrepSettings
from synth import Synth, number_in, write

SIZE = (320, 256)
HUGE = 100_000
GIB = 1 << 30
pytestmark = pytest.mark.timeout(120)


def prepare(
    path: Path, segment: Segment | None = None, step: float | None = 6.0
) -> ClipRow:
    settings = PrepSettings(face_crop=False, step_frames=step)
    clip = Clip(clip_id="x", source=Source(path), segment=segment or Segment())
    row = prepare_clip(clip, settings, device="cpu")
    assert "\n" not in row.reason
    assert "unexpected" not in row.reason
    return row


@contextmanager
def bounded(*, seconds: float = 20.0, megabytes: int = 250) -> Iterator[None]:
    """Fail if the body takes longer, or if it raises the peak memory by more."""
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert time.monotonic() - begin < seconds
    assert grown * unit < megabytes * 1_000_000


def write_clip(folder: Path, suffix: str, **changes: Any) -> Path:
    kinds: dict[str, dict[str, Any]] = {
        "mp4": {},
        "avi": {"video": "mjpeg", "audio": "pcm_s16le"},
        "webm": {"video": "libvpx", "audio": "libopus", "rate_hz": 48_000},
        "mp3": {"video": None, "audio": "libmp3lame"},
        "wav": {"video": None, "audio": "pcm_s16le"},
        "flv": {"video": "flv", "audio": "libmp3lame"},
    }
    spec: dict[str, Any] = {"suffix": suffix, "size_px": SIZE, "duration_s": 2.0}
    return write(folder / "x", Synth(**{**spec, **kinds[suffix], **changes}))


def replace_bytes(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    content = path.read_bytes()
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    path.write_bytes(content)
    return path


SIDES_BE, SIDES_LE = struct.pack(">HH", *SIZE), struct.pack("<II", *SIZE)
HEADERS = {
    "mp4": [
        (struct.pack(">II", *(n << 16 for n in SIZE)), b"\xff\xff\0\0" * 2),  # tkhd
        (SIDES_BE + b"\0\x48\0\0", b"\xff" * 4 + b"\0\x48\0\0"),  # avc1
    ],
    "avi": [(SIDES_LE, struct.pack("<II", HUGE, HUGE))],
    "webm": [
        (b"\xb0\x82" + SIDES_BE[:2], b"\xb0\x82\xff\xff"),
        (b"\xba\x82" + SIDES_BE[2:], b"\xba\x82\xff\xff"),
    ],
}
"""Replacements of the frame size in the containers; only AVI has room for 100,000."""


@pytest.mark.parametrize("kind", list(HEADERS))
def test_huge_frame_size_of_a_container_is_ignored(tmp_path: Path, kind: str) -> None:
    """The header of the codec is authoritative: the frames keep their size."""
    path = replace_bytes(write_clip(tmp_path, kind), *HEADERS[kind])
    with bounded():
        row = prepare(path)
    assert row.status == "ok"
    assert row.facts["picture_width_px"] == SIZE[0]
    assert number_in(row.arrays["frames"][1]) == 5


@pytest.mark.parametrize("side", [9_000, 16_000, 16_383])
def test_huge_frame_size_of_a_codec_allocates_no_memory(
    tmp_path: Path, side: int
) -> None:
    """The start code of a VP8 key frame is followed by the sides."""
    code = b"\x9d\x01\x2a"
    path = replace_bytes(
        write_clip(tmp_path, "webm"),
        (code + struct.pack("<HH", *SIZE), code + struct.pack("<HH", side, side)),
    )
    with bounded():
        row = prepare(path)
    assert row.status == "no_video"
    assert "damaged packets skipped" in row.reason
    assert row.arrays["stft_16"].any()


def test_huge_frame_size_of_a_jpeg_allocates_no_memory(tmp_path: Path) -> None:
    sides = struct.pack(">HH", *SIZE[::-1])
    path = replace_bytes(
        write_clip(tmp_path, "avi"), (b"\x08" + sides, b"\x08" + b"\xfd\xe8" * 2)
    )
    with bounded():
        row = prepare(path)
    assert row.status == "no_video"


def test_frame_wider_than_the_limit_is_a_failed_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path, "avi", size_px=(8208, 64), duration_s=0.2)
    row = prepare(path)
    assert row.status == "failed"
    assert row.reason == "frames of 8208 x 64 px, at most 8192 px per side"


@pytest.mark.parametrize("step", [6.0, None])
def test_duration_of_ten_hours_in_a_header_is_ignored(
    tmp_path: Path, step: float | None
) -> None:
    path = write_clip(tmp_path, "mp4")
    content = bytearray(path.read_bytes())
    at = content.index(b"mvhd") + 20
    content[at : at + 4] = struct.pack(">I", 36_000_000)
    path.write_bytes(content)
    with bounded():
        row = prepare(path, step=step)
    assert row.status == "ok"
    assert row.facts["stop_s"] == pytest.approx(2.0, abs=0.05)


def write_with_jump(folder: Path, *, video: str | None, jump_s: float) -> Path:
    """Write a clip whose audio time stamps jump after the first second."""
    spec = Synth(audio="flac", video=video, duration_s=2.0, size_px=(96, 64))
    path = folder / "x.mkv"
    with av.open(str(path), "w") as container:
        packets = synth.encode_video(container, spec, None) if video else []
        for packet in synth.shift_packets(synth.encode_audio(container, spec), 1e-9):
            if packet.pts * packet.time_base >= 1:
                packet.pts = packet.dts = packet.pts + round(jump_s * synth.TICKS)
            packets.append(packet)
        for packet in sorted(packets, key=lambda p: p.dts * Fraction(p.time_base)):
            container.mux(packet)
    return path


@pytest.mark.parametrize("video", ["libx264", None])
@pytest.mark.parametrize("jump_s", [100.0, 3_600.0, 36_000.0])
def test_jump_of_the_audio_is_silence_without_memory(
    tmp_path: Path, video: str | None, jump_s: float
) -> None:
    """The gap is after the last window."""
    path = write_with_jump(tmp_path, video=video, jump_s=jump_s)
    with bounded():
        row = prepare(path)
    assert row.status == ("ok" if video else "no_video")
    stft = row.arrays["stft_16"]
    assert (stft[1].max(axis=0) > -60).all()
    assert (stft[7:] == -100).all()


def test_steps_are_not_spread_over_ten_hours(tmp_path: Path) -> None:
    path = write_with_jump(tmp_path, video=None, jump_s=36_000.0)
    with bounded():
        row = prepare(path, step=None)
    assert row.status == "failed"
    assert "36002 s to spread 16 frames over, at most 600; state where" in row.reason


@pytest.mark.parametrize("suffix", ["mp4", "mp3", "h264", "wav", "mpg", "flv", "zip"])
def test_gigabyte_of_zeros_fails_at_once(tmp_path: Path, suffix: str) -> None:
    """An interrupted copy can leave such a sparse file."""
    path = tmp_path / f"x.{suffix}"
    with path.open("wb") as file:
        file.truncate(GIB)
    with bounded(seconds=5, megabytes=100):
        row = prepare(path)
    assert row.status == "failed"
    assert row.reason == (
        "a large file of mostly zeros, as an interrupted copy; get it again"
    )


@pytest.mark.parametrize("suffix", ["mp4", "mp3", "wav", "flv"])
def test_clip_followed_by_a_gigabyte_of_zeros_fails_at_once(
    tmp_path: Path, suffix: str
) -> None:
    path = write_clip(tmp_path, suffix)
    with path.open("r+b") as file:
        file.truncate(GIB)
    with bounded(seconds=5, megabytes=100):
        row = prepare(path)
    assert (row.status, row.reason[:12]) == ("failed", "a large file")


def test_large_audio_file_is_read(tmp_path: Path) -> None:
    """Half of it is silence, and it is large enough to be sampled for zeros."""
    path = write_clip(
        tmp_path, "wav", duration_s=400.0, rate_hz=48_000, layout="stereo"
    )
    assert path.stat().st_size > 70_000_000
    silent = np.memmap(path, dtype=np.uint8, mode="r+")
    silent[len(silent) * 6 // 10 :] = 0
    silent.flush()
    assert prepare(path).status == "no_video"


@pytest.mark.parametrize("start_s", [2.5, 9.0, 3_000.0])
def test_segment_after_the_end_of_the_video_fails(
    tmp_path: Path, start_s: float
) -> None:
    """This also holds if the audio continues."""
    path = write_clip(tmp_path, "mp4", sound_s=4.0)
    with bounded():
        row = prepare(path, Segment(start_s=start_s, stop_s=start_s + 2))
    assert row.status == "failed"
    assert "ends" in row.reason
    assert str(start_s) in row.reason


def test_overlapping_segments_share_their_frames(tmp_path: Path) -> None:
    """The second starts ten steps later: the last frames of one begin the other."""
    path = write_clip(tmp_path, "mp4", duration_s=9.0)
    one, two = (prepare(path, Segment(start_s=s, stop_s=s + 4)) for s in (1.0, 3.0))
    assert one.status == two.status == "ok"
    same = (one.arrays["frames"][10:16] == two.arrays["frames"][:6]).all()
    assert same
    assert one.arrays["frame_time_s"][10:] == pytest.approx(
        two.arrays["frame_time_s"][:6]
    )
