"""Clips of many containers, and helpers of the decoder tests."""

import struct
import zlib
from pathlib import Path
from typing import Any

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.source import Source
from mmder_prep.media.types import DecodedClip
from mmder_store.settings import PrepSettings
from synth import Synth, number_in

WHOLE = Segment()
"""The whole file."""
CONTAINERS = {
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
"""One specification per container."""


def decode(path: Path, segment: Segment = WHOLE, **changes: Any) -> DecodedClip:
    """Return the decoded clip of a file, with changes to the default settings."""
    return read_clip(
        Clip(clip_id="x", source=Source(path), segment=segment),
        PrepSettings(face_crop=False, **changes),
    )


def frame_numbers(decoded: DecodedClip) -> list[int | None]:
    """Return the number shown in each decoded frame."""
    return [number_in(frame.rgb()) for frame in decoded.frames]


def png() -> bytes:
    """Return a black PNG image."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(3 * 64)) * 64)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )
