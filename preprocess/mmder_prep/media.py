"""The decoder's edge: a media file in, the frames and the sound of one clip out.

One pass over the file, picture and sound on one clock: the file's presentation time
stamps, minus the time at which the file starts. Counts, rates and durations that a
header claims are never used. Frames stay in the decoder's own format until asked for.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float32, Float64, UInt8

from mmder_prep.frames import FramePicker
from mmder_prep.plan import Part
from mmder_prep.sound import SoundTape, mix
from mmder_prep.source import Source
from mmder_prep.timeline import EARLY_S, instants, span, spread_step
from mmder_store.errors import MediaError
from mmder_store.settings import FRAMES_16, PrepSettings

MAX_SIDE_PX = 8192
MAX_RATE_HZ = 768_000
MAX_DECODE_S = 120.0
"""Wall time after which a file is given up; a clip of speech takes under a second."""
MAX_LEAD_S = 600.0
"""Sound held while the first picture is still to come."""
SEEK_FROM_S = 5.0
"""Parts that start later than this are sought, not decoded up to."""
FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mp3,"
    "mp4,mpeg,mpegts,mpegvideo,mxf,ogg,w64,wav,webm"
)
"""Containers that are read. Play lists are not: they name other files and hosts."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, converted when asked."""

    frame: VideoFrame
    aspect: Fraction | None = None
    """Width of a pixel over its height, where the file says."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed: rotated, with square pixels."""
        width, height = self._square_px()
        return (height, width) if self.frame.rotation % 180 else (width, height)

    def rgb(
        self, longer_px: int | None = None
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Give the displayed picture, or a copy reduced to a longer side."""
        width, height = self._square_px()
        if longer_px is not None and longer_px < max(width, height):
            scale = longer_px / max(width, height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        converted = self.frame.reformat(
            width=width, height=height, format="rgb24", interpolation="AREA"
        )
        turns = round(self.frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), turns))

    def _square_px(self) -> tuple[int, int]:
        wide = self.aspect if self.aspect and 0.2 < self.aspect < 5 else 1
        return round(self.frame.width * wide), self.frame.height


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """What one clip yields: frames at the instants, and the sound around them."""

    step_s: float
    wanted_s: Float64[np.ndarray, " frame"]
    """The instants."""
    pictures: list[Picture]
    """One an instant; empty where the file has no picture."""
    times_s: Float64[np.ndarray, " picture"]
    """Presentation time of each picture."""
    sound: Float32[np.ndarray, " time"]
    """One channel at the settings' rate; empty where the file has no sound."""
    sound_first_s: float
    """Time of its first sample."""
    facts: dict[str, float | int]
    """Columns of the store."""


def read_take(source: Source, part: Part, settings: PrepSettings) -> Take:
    """Decode one clip.

    Raises:
        MediaError: If nothing in the file can be decoded, or it claims sizes beyond
            any footage.
    """
    if part.start_s is not None and part.start_s > SEEK_FROM_S:
        reader = _Reader(source, part, settings)
        # Formats without an index cannot be sought, or are left too far on: they are
        # read from the start.
        with suppress(MediaError, FFmpegError):
            take = reader.read(seek_s=part.start_s - 2 * reader.step_s - 1)
            if not reader.began_late:
                return take
    return _Reader(source, part, settings).read(seek_s=None)


def _open(source: Source) -> InputContainer:
    opened = source.input()
    head = _head(opened)
    if head.startswith(b"version https://git-lfs"):
        msg = "a git-lfs pointer, not media; run 'git lfs pull' where it came from"
        raise MediaError(msg)
    if not head:
        msg = "the file is empty; get it again"
        raise MediaError(msg)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(opened, mode="r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        msg = f"not readable as media ({why}); get it again, or mind what it is"
        raise MediaError(msg) from error


def _head(opened: object) -> bytes:
    if isinstance(opened, str):
        with open(opened, "rb") as file:  # noqa: PTH123  what av gets is a string
            return file.read(64)
    head: bytes = opened.read(64)  # type: ignore[attr-defined]
    opened.seek(0)  # type: ignore[attr-defined]
    return head


def _zero_s(container: InputContainer) -> float:
    return (container.start_time or 0) / 1_000_000


def _streams(
    container: InputContainer, settings: PrepSettings
) -> tuple[VideoStream | None, AudioStream | None]:
    """Choose the first moving picture and the first sound, one thread each.

    Raises:
        MediaError: If there is neither, or a picture beyond all bounds.
    """
    # A stream of an unknown codec has no context.
    videos = [
        s
        for s in container.streams.video
        if settings.modality == "av"
        and s.codec_context is not None
        and not s.disposition & Disposition.attached_pic
    ]
    audios = [s for s in container.streams.audio if s.codec_context is not None]
    video, audio = next(iter(videos), None), next(iter(audios), None)
    if video is None and audio is None:
        msg = "neither picture nor sound in the file"
        raise MediaError(msg)
    if video is not None:
        _check_side(video.codec_context.width, video.codec_context.height)
        video.codec_context.thread_count = 1
    if audio is not None:
        audio.codec_context.thread_count = 1
    return video, audio


def _check_side(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE_PX:
        msg = f"a picture of {width} x {height} px, at most {MAX_SIDE_PX} a side"
        raise MediaError(msg)


def _stop_of(source: Source, settings: PrepSettings) -> float:
    """Find the end of a clip from the time stamps of its packets, undecoded."""
    with _open(source) as container:
        video, audio = _streams(container, settings)
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in _packets(container, [video or audio])
            if packet.pts is not None and packet.time_base is not None
        ]
        if not ends:
            msg = "no packet in it has a time stamp"
            raise MediaError(msg)
        return max(ends) - _zero_s(container)


def _packets(container: InputContainer, streams: list[Any]) -> "Iterator[Packet[Any]]":
    """Yield packets to the end of the file, or to where it is damaged."""
    packets = container.demux([s for s in streams if s is not None])
    while True:
        try:
            yield next(packets)
        except (StopIteration, FFmpegError):
            return


class _Reader:
    """One pass over one file; made, read once, thrown away."""

    def __init__(self, source: Source, part: Part, settings: PrepSettings) -> None:
        self.source, self.part, self.settings = source, part, settings
        self.stop_s = np.inf if part.stop_s is None else part.stop_s
        self.step_s = settings.step_s or self._spread()
        self.zero_s = 0.0
        self.picker: FramePicker[Picture] | None = None
        self.tape: SoundTape | None = None
        self.aspect: Fraction | None = None
        self.facts: dict[str, float | int] = {"decode_errors": 0}
        self.began_late = False

    def _spread(self) -> float:
        stop_s = self.stop_s
        if not np.isfinite(stop_s):
            stop_s = _stop_of(self.source, self.settings)
        duration_s = stop_s - (self.part.start_s or 0.0)
        if duration_s <= 0:
            msg = f"it ends at {stop_s:.3f} s, before the clip starts"
            raise MediaError(msg)
        return spread_step(duration_s, self.settings)

    def read(self, *, seek_s: float | None) -> Take:
        """Decode until the last frame and the last sample needed."""
        with _open(self.source) as container:
            self.zero_s = _zero_s(container)
            video, audio = _streams(container, self.settings)
            if video is not None:
                self.aspect = video.sample_aspect_ratio
            if self.part.start_s is not None:
                self._plan(self.part.start_s)
            if seek_s is not None:
                container.seek(int((seek_s + self.zero_s) * 1_000_000), backward=True)
            self._decode(container, video, audio)
        if seek_s is not None:
            start_s = self.part.start_s or 0.0
            streams = {"picture_start_s": video, "sound_start_s": audio}
            first = [self.facts.get(k) for k, s in streams.items() if s is not None]
            self.began_late = any(f is None or f > start_s + EARLY_S for f in first)
            for key in streams:  # what is decoded first is not how the file starts
                self.facts.pop(key, None)
        if self.picker is None or self.picker.empty:
            if self.tape is None or self.tape.empty:
                msg = "nothing in it can be decoded; get it again"
                if "sound_start_s" in self.facts:
                    msg = f"it ends before the clip starts at {self.part.start_s} s"
                raise MediaError(msg)
            if self.picker is None:  # pictures were promised, and none came
                self._plan(self.tape.first_s)
        return self._take()

    def _plan(self, start_s: float) -> None:
        wanted_s = instants(start_s, self.step_s, FRAMES_16)
        self.picker = FramePicker(wanted_s, stop_s=self.stop_s)

    def _bounds_s(self) -> tuple[float, float]:
        """Bound the sound that can be asked for and is part of the clip."""
        low_s, high_s = -np.inf, np.inf
        if self.picker is not None:
            low_s, high_s = span(float(self.picker.wanted_s[0]), self.step_s)
        if self.part.start_s is not None:
            low_s = max(low_s, self.part.start_s)
        return low_s, min(high_s, self.stop_s)

    def _decode(
        self,
        container: InputContainer,
        video: VideoStream | None,
        audio: AudioStream | None,
    ) -> None:
        until = time.monotonic() + MAX_DECODE_S
        wanted = {s.index for s in (video, audio) if s is not None}
        for packet in _packets(container, [video, audio]):
            if packet.stream.index not in wanted:
                continue
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):
                self.facts["decode_errors"] += 1
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    done = self._see(frame)
                elif isinstance(frame, AudioFrame):
                    done = self._hear(frame, alone=video is None)
                if done:
                    wanted.discard(packet.stream.index)
                    break
            if not wanted:
                return
            if time.monotonic() > until:
                msg = f"not decoded within {MAX_DECODE_S:.0f} s"
                raise MediaError(msg)

    def _see(self, frame: VideoFrame) -> bool:
        """Take in a picture; tell whether all instants have theirs."""
        if frame.pts is None or frame.time_base is None:
            self.facts["decode_errors"] += 1
            return False
        _check_side(frame.width, frame.height)
        now_s = float(frame.pts * frame.time_base) - self.zero_s
        self.facts.setdefault("picture_start_s", now_s)
        if self.picker is None:
            self._plan(now_s)
        assert self.picker is not None
        return self.picker.see(now_s, Picture(frame, self.aspect))

    def _hear(self, frame: AudioFrame, *, alone: bool) -> bool:
        """Take in a block of sound; tell whether no window needs more."""
        rate_hz = frame.sample_rate
        if not 0 < rate_hz <= MAX_RATE_HZ:
            msg = f"sound at {rate_hz} Hz, at most {MAX_RATE_HZ}"
            raise MediaError(msg)
        if self.tape is None:
            self.tape = SoundTape(rate_hz)
            channels = frame.layout.nb_channels
            self.facts |= {"sound_rate_hz": rate_hz, "sound_channels": channels}
        stamp_s = np.nan
        if frame.pts is not None and frame.time_base is not None:
            stamp_s = float(frame.pts * frame.time_base) - self.zero_s
        try:
            if rate_hz != self.tape.rate_hz:
                msg = "the rate changes in the middle"
                raise ValueError(msg)
            samples = frame.to_ndarray()
        except ValueError:
            self.facts["decode_errors"] += 1
            return False
        planar, channels = frame.format.is_planar, frame.layout.nb_channels
        self.tape.add(stamp_s, mix(samples, channels=channels, planar=planar))
        self.facts.setdefault("sound_start_s", self.tape.first_s)
        if alone and self.picker is None:
            self._plan(self.tape.first_s)
        low_s, high_s = self._bounds_s()
        self.tape.keep_from(low_s)
        if self.tape.seconds > MAX_LEAD_S + 16 * self.step_s:
            msg = f"more than {MAX_LEAD_S:.0f} s of sound before the first picture"
            raise MediaError(msg)
        return self.tape.next_s >= high_s

    def _take(self) -> Take:
        picker = self.picker
        assert picker is not None
        pictures: list[Picture] = []
        times_s = np.zeros(0)
        if not picker.empty:
            pictures, times_s, clamped = picker.finish()
            if clamped == FRAMES_16:
                end_s, start_s = times_s[-1] + picker.gap_s, picker.wanted_s[0]
                msg = f"its picture ends at {end_s:.3f} s, the clip starts at {start_s}"
                raise MediaError(msg)
            width, height = pictures[0].size_px
            fps = 1 / picker.gap_s if picker.gap_s else np.nan
            self.facts |= {"clamped": clamped, "picture_fps": fps}
            self.facts |= {"picture_width_px": width, "picture_height_px": height}
        sound, first_s = np.zeros(0, dtype=np.float32), 0.0
        if self.tape is not None:
            low_s, high_s = self._bounds_s()
            sound, first_s = self.tape.resampled(
                self.settings.sample_rate_hz, low_s=low_s, high_s=high_s
            )
        start_s = float(picker.wanted_s[0])
        self.facts |= {"media_start_s": self.zero_s, "start_s": start_s}
        return Take(
            step_s=self.step_s,
            wanted_s=picker.wanted_s,
            pictures=pictures,
            times_s=times_s,
            sound=sound,
            sound_first_s=first_s,
            facts=self.facts | {"step_s": self.step_s},
        )
