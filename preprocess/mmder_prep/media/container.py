"""A media file, opened with care: what it may be, which of its streams are taken."""

import io
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mmder_prep.media.source import POINTER, Source
from mmder_store.errors import MediaError

MAX_SIDE_PX = 8192
MAX_PIXELS = {"max_pixels": str(MAX_SIDE_PX**2)}
"""Said to the decoder: a picture larger than the file's header claims is refused
before it is given memory."""
LARGE_BYTES = 64 << 20
LOOKS = 64
"""Places at which a large file is looked at, before it is read."""
FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mp3,"
    "mp4,mpeg,mpegts,mpegvideo,mxf,ogg,w64,wav,webm"
)
"""Containers that are read. Play lists are not: they name other files and hosts."""


def open_media(source: Source) -> InputContainer:
    """Open a file, or a member of a zip, whose bytes look like media.

    Raises:
        MediaError: If they do not.
    """
    opened = source.input()
    head, blank = _look(opened)
    if head.startswith(POINTER):
        msg = "a git-lfs pointer, not media; run 'git lfs pull' where it came from"
        raise MediaError(msg)
    if not head:
        msg = "the file is empty; get it again"
        raise MediaError(msg)
    if blank:
        msg = "a large file, and mostly zeros, as of a copy cut off; get it again"
        raise MediaError(msg)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(opened, mode="r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        msg = f"not readable as media ({why}); get it again, or mind what it is"
        raise MediaError(msg) from error


def _look(opened: str | io.BytesIO) -> tuple[bytes, bool]:
    """Give the first bytes of a file, and tell whether it is large and mostly zeros.

    FFmpeg searches zeros for the next frame to their end, and holds them meanwhile.
    """
    with open(opened, "rb") if isinstance(opened, str) else nullcontext(opened) as file:  # noqa: PTH123
        head = file.read(64)
        size, blank = file.seek(0, os.SEEK_END), 0
        for place in range(0, size, size // LOOKS) if size > LARGE_BYTES else ():
            file.seek(place)
            blank += not file.read(4096).strip(b"\0")
        file.seek(0)
    return head, 2 * blank > LOOKS


def file_start_s(container: InputContainer) -> float:
    """Give the time at which a file starts, on its own clock."""
    return (container.start_time or 0) / 1_000_000


def choose_streams(
    container: InputContainer, *, see: bool, hear: bool
) -> tuple[VideoStream | None, AudioStream | None]:
    """Choose the first moving picture and the first sound, one thread each.

    Raises:
        MediaError: If there is none that is asked for, or a picture beyond bounds.
    """
    # A stream of an unknown codec has no context.
    videos = [
        s
        for s in container.streams.video
        if see
        and s.codec_context is not None
        and not s.disposition & Disposition.attached_pic
    ]
    audios = [
        s for s in container.streams.audio if hear and s.codec_context is not None
    ]
    video, audio = next(iter(videos), None), next(iter(audios), None)
    if video is None and audio is None:
        none = "no picture" if not hear else "neither picture nor sound"
        msg = f"{none} in the file" if see else "no sound in the file"
        raise MediaError(msg)
    if video is not None:
        check_side(video.codec_context.width, video.codec_context.height)
        video.codec_context.options = MAX_PIXELS
        video.codec_context.thread_count = 1
    if audio is not None:
        audio.codec_context.thread_count = 1
    return video, audio


def check_side(width: int, height: int) -> None:
    """Refuse a picture beyond all bounds, before memory is asked for it."""
    if max(width, height) > MAX_SIDE_PX:
        msg = f"a picture of {width} x {height} px, at most {MAX_SIDE_PX} a side"
        raise MediaError(msg)


def seconds(stamped: "Packet[Any] | VideoFrame | AudioFrame") -> float | None:
    """Give the time of a packet or a frame, None where it has no stamp."""
    pts, base = stamped.pts, stamped.time_base
    # The same number as that of the fraction pts * base, without making one.
    return (
        None if pts is None or base is None else pts * base.numerator / base.denominator
    )


def packet_end_s(packet: "Packet[Any]") -> float | None:
    """Give the time at which a packet ends, None where it has no stamp."""
    pts, base = packet.pts, packet.time_base
    if pts is None or base is None:
        return None
    return (pts + (packet.duration or 0)) * base.numerator / base.denominator


def packets(container: InputContainer, wanted: list[Any]) -> "Iterator[Packet[Any]]":
    """Yield packets to the end of the file, or to where it is damaged."""
    streams = [s for s in wanted if s is not None]
    found = container.demux(streams)
    while True:
        try:
            yield next(found)
        except IndexError:  # of a stream that the file begins in its middle
            found = container.demux(streams)
        except (StopIteration, FFmpegError):
            return
