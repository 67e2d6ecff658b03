"""The decoder's edge: a media file in, the frames and the sound of one clip out.

One pass over the file, picture and sound on one clock: the file's presentation time
stamps, minus the time at which the file starts. Counts, rates and durations that a
header claims are never used. Frames stay in the decoder's own format until asked for.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float32, Float64

from mmder_prep.media.audio_buffer import AudioBuffer, mix
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.container import (
    check_side,
    choose_streams,
    file_start_s,
    open_media,
    packet_end_s,
    packets,
    seconds,
)
from mmder_prep.media.frame_picker import FramePicker
from mmder_prep.media.frame_skipping import FrameSkipper, SkippedFrameNeededError
from mmder_prep.media.picture import VideoPicture
from mmder_prep.media.source import Source
from mmder_prep.timeline import EARLY_S, instants, span, spread_step
from mmder_store.errors import MediaError
from mmder_store.settings import FRAMES_16, PrepSettings

MAX_RATE_HZ = 768_000
MAX_DECODE_S = 120.0
"""Wall time after which a file is given up; a clip of speech takes under a second."""
MAX_LEAD_S = 600.0
"""Sound held while the first picture is still to come."""
MAX_HELD_SAMPLES = 60_000_000
"""The same where the rate is beyond that of any speech: a quarter of a gigabyte."""
MAX_SPREAD_S = 600.0
"""Longest clip that 16 frames are spread over; all of its sound is held at once."""
SEEK_FROM_S = 5.0
"""Parts that start later than this are sought, not decoded up to."""
MAX_TAIL_PACKETS = 20_000
"""Packets looked at, undecoded, to see where a file ends: minutes of speech."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedClip:
    """What one clip yields: frames at the instants, and the sound around them."""

    step_s: float
    target_times_s: Float64[np.ndarray, " frame"]
    """The instants."""
    frames: list[VideoPicture]
    """One an instant; empty where the file has no picture."""
    times_s: Float64[np.ndarray, " picture"]
    """Presentation time of each picture."""
    audio: Float32[np.ndarray, " time"]
    """One channel at the settings' rate; empty where the file has no sound."""
    audio_start_s: float
    """Time of its first sample."""
    facts: dict[str, float | int]
    """Columns of the store."""
    problem: str = ""
    """Why the one of two files gave nothing, where picture and sound are apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeRequest:
    """What is wanted of one file."""

    source: Source
    segment: Segment
    settings: PrepSettings
    at_s: float = 0.0
    """When the file starts, on the clock of the clip."""
    want_video: bool = True
    want_audio: bool = True
    decoded_video: DecodedClip | None = None
    """The pictures that the sound goes with, where they are chosen already."""


def read_clip(clip: Clip, settings: PrepSettings) -> DecodedClip:
    """Decode one clip, from one file or from picture and sound apart.

    Raises:
        MediaError: If nothing of it can be decoded, or a file claims sizes beyond any
            footage.
    """
    see = settings.modality == "av"
    ask = DecodeRequest(
        source=clip.source, segment=clip.segment, settings=settings, want_video=see
    )
    if clip.audio is None:
        return _read(ask)
    at_s = clip.audio_start_s or 0.0
    ask_sound = replace(ask, source=clip.audio, at_s=at_s, want_video=False)
    if not see:
        return _read(ask_sound)
    try:
        seen = _read(replace(ask, want_audio=False))
    except MediaError as error:
        return replace(_read(ask_sound), problem=f"picture: {error}")
    if clip.audio_start_s is None:  # a part that was sought does not know its beginning
        first_s = seen.facts.get("picture_start_s")
        at_s = _first_picture_s(ask) if first_s is None else first_s
        ask_sound = replace(ask_sound, at_s=at_s)
    try:
        heard = _read(replace(ask_sound, decoded_video=seen))
    except MediaError as error:
        return replace(seen, problem=f"sound file: {error}")
    errors = seen.facts["decode_errors"] + heard.facts["decode_errors"]
    return replace(
        seen,
        audio=heard.audio,
        audio_start_s=heard.audio_start_s,
        facts=heard.facts | seen.facts | {"decode_errors": errors},
    )


def _read(ask: DecodeRequest) -> DecodedClip:
    try:
        return _read_part(ask, skip=True)
    except SkippedFrameNeededError:
        return _read_part(ask, skip=False)


def _read_part(ask: DecodeRequest, *, skip: bool) -> DecodedClip:
    start_s = ask.segment.start_s
    if start_s is not None and start_s - ask.at_s > SEEK_FROM_S:
        reader = DecoderState(ask, skip=skip)
        # Formats without an index cannot be sought, or are left too far on: they are
        # read from the start.
        with suppress(MediaError, FFmpegError):
            take = reader.read(seek_s=start_s - 2 * reader.step_s - 1)
            if not reader.began_late:
                return take
    return DecoderState(ask, skip=skip).read(seek_s=None)


def _first_picture_s(ask: DecodeRequest) -> float:
    """Find when the first picture of a file is shown, undecoded."""
    with open_media(ask.source) as container:
        video, _ = choose_streams(container, see=True, hear=False)
        for packet in packets(container, [video]):
            at_s = seconds(packet)
            if at_s is not None:
                return at_s - file_start_s(container)
    return 0.0


def _stop_of(ask: DecodeRequest) -> float:
    """Find the end of a clip from the time stamps of its packets, undecoded."""
    with open_media(ask.source) as container:
        video, audio = choose_streams(
            container, see=ask.want_video, hear=ask.want_audio
        )
        ends = [
            end_s
            for packet in packets(container, [video or audio])
            if (end_s := packet_end_s(packet)) is not None
        ]
        if not ends:
            msg = "no packet in it has a time stamp"
            raise MediaError(msg)
        return max(ends) - file_start_s(container) + ask.at_s


class DecoderState:
    """One pass over one file; made, read once, thrown away."""

    def __init__(self, ask: DecodeRequest, *, skip: bool) -> None:
        self.ask, self.part = ask, ask.segment
        self.skip = skip
        self.skipper: FrameSkipper | None = None
        self.stop_s = np.inf if self.part.stop_s is None else self.part.stop_s
        fixed_s = ask.decoded_video.step_s if ask.decoded_video else ask.settings.step_s
        self.step_s = fixed_s or self._spread()
        self.zero_s = 0.0
        self.end_s = -np.inf
        self.picker: FramePicker[VideoPicture | None] | None = None
        self.tape: AudioBuffer | None = None
        self.aspect: Fraction | None = None
        self.facts: dict[str, float | int] = {"decode_errors": 0}
        self.began_late = False

    def _spread(self) -> float:
        stop_s = self.stop_s
        if not np.isfinite(stop_s):
            stop_s = _stop_of(self.ask)
        duration_s = stop_s - (self.part.start_s or 0.0)
        if duration_s <= 0:
            msg = f"it ends at {stop_s:.3f} s, before the clip starts"
            raise MediaError(msg)
        if duration_s > MAX_SPREAD_S:
            msg = (
                f"{duration_s:.0f} s to spread 16 frames over, at most "
                f"{MAX_SPREAD_S:.0f}; say where the clip starts and stops"
            )
            raise MediaError(msg)
        return spread_step(duration_s, self.ask.settings)

    def read(self, *, seek_s: float | None) -> DecodedClip:
        """Decode until the last frame and the last sample needed."""
        with open_media(self.ask.source) as container:
            self.zero_s = file_start_s(container) - self.ask.at_s
            video, audio = choose_streams(
                container, see=self.ask.want_video, hear=self.ask.want_audio
            )
            if video is not None:
                self.aspect = video.sample_aspect_ratio
            if self.ask.decoded_video is not None:
                self._plan(float(self.ask.decoded_video.target_times_s[0]))
            elif self.part.start_s is not None:
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
            low_s, high_s = span(float(self.picker.target_times_s[0]), self.step_s)
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
        tail = 0
        coming: Iterable[Packet[Any]] = packets(container, [video, audio])
        if video is not None and self.skip:
            self.skipper = FrameSkipper(video, zero_s=self.zero_s)
            coming = self.skipper.lookahead(coming)
        for packet in coming:
            if packet.stream is (video or audio):
                self.end_s = max(self.end_s, packet_end_s(packet) or -np.inf)
            if not wanted:
                tail += 1
                if tail > MAX_TAIL_PACKETS:
                    self.end_s = np.nan
                    return
            if packet.stream.index not in wanted:
                continue
            if self.skipper is not None and packet.stream is video:
                known = self.picker is not None and not self.picker.empty
                wanted_s = self.picker.target_times_s if self.picker and known else None
                self.skipper.configure(packet, wanted_s, stop_s=self.stop_s)
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):
                self.facts["decode_errors"] += 1
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    done = self.on_frame(frame)
                elif isinstance(frame, AudioFrame):
                    done = self.on_audio(frame, alone=video is None)
                if done:
                    wanted.discard(packet.stream.index)
                    break
            if not wanted and np.isfinite(self.stop_s):
                self.end_s = np.inf  # it goes on after the part
                return
            if time.monotonic() > until:
                msg = f"not decoded within {MAX_DECODE_S:.0f} s"
                raise MediaError(msg)

    def on_frame(self, frame: VideoFrame) -> bool:
        """Take in a picture; tell whether all instants have theirs."""
        stamp_s = seconds(frame)
        if stamp_s is None:
            self.facts["decode_errors"] += 1
            return False
        check_side(frame.width, frame.height)
        now_s = stamp_s - self.zero_s
        self.facts.setdefault("picture_start_s", now_s)
        if self.picker is None:
            self._plan(now_s)
        assert self.picker is not None
        for left_out_s in self._left_out(now_s):
            if self.picker.add(left_out_s, None):
                return True
        return self.picker.add(now_s, VideoPicture(frame, self.aspect))

    def _left_out(self, before_s: float) -> list[float]:
        return self.skipper.skipped_before(before_s) if self.skipper else []

    def on_audio(self, frame: AudioFrame, *, alone: bool) -> bool:
        """Take in a block of sound; tell whether no window needs more."""
        rate_hz = frame.sample_rate
        if not 0 < rate_hz <= MAX_RATE_HZ:
            msg = f"sound at {rate_hz} Hz, at most {MAX_RATE_HZ}"
            raise MediaError(msg)
        if self.tape is None:
            self.tape = AudioBuffer(rate_hz)
            channels = frame.layout.nb_channels
            self.facts |= {"sound_rate_hz": rate_hz, "sound_channels": channels}
        at_s = seconds(frame)
        stamp_s = np.nan if at_s is None else at_s - self.zero_s
        try:
            if rate_hz != self.tape.rate_hz:
                msg = "the rate changes in the middle"
                raise ValueError(msg)
            samples = frame.to_ndarray()
        except ValueError:
            self.facts["decode_errors"] += 1
            return False
        if not self.tape.empty:  # the gap would be filled
            if stamp_s >= self._bounds_s()[1]:
                return True
            if stamp_s - self.tape.next_s > MAX_LEAD_S:
                msg = f"its sound jumps to {stamp_s:.0f} s; get it again, or cut it"
                raise MediaError(msg)
        channels = frame.layout.nb_channels
        planar = len(samples) > 1 or channels == 1
        self.tape.add(stamp_s, mix(samples, channels=channels, planar=planar))
        self.facts.setdefault("sound_start_s", self.tape.first_s)
        if alone and self.picker is None:
            self._plan(self.tape.first_s)
        low_s, high_s = self._bounds_s()
        self.tape.keep_from(low_s)
        too_long = self.tape.seconds > MAX_LEAD_S + 16 * self.step_s
        if too_long or self.tape.seconds * rate_hz > MAX_HELD_SAMPLES:
            msg = f"more than {MAX_LEAD_S:.0f} s of sound before the first picture"
            raise MediaError(msg)
        return self.tape.next_s >= high_s

    def _take(self) -> DecodedClip:
        picker = self.picker
        assert picker is not None
        pictures: list[VideoPicture] = []
        times_s = np.zeros(0)
        if not picker.empty:
            for left_out_s in self._left_out(np.inf):
                if picker.complete or picker.add(left_out_s, None):
                    break
            found, times_s, clamped = picker.finish()
            pictures = [picture for picture in found if picture is not None]
            errors = self.facts["decode_errors"] and self.skipper and self.skipper.used
            if len(pictures) < len(found) or errors:
                raise SkippedFrameNeededError
            if clamped == FRAMES_16:
                end_s, start_s = times_s[-1] + picker.gap_s, picker.target_times_s[0]
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
                self.ask.settings.sample_rate_hz, low_s=low_s, high_s=high_s
            )
        start_s = float(picker.target_times_s[0])
        self.facts |= {"media_start_s": self.zero_s, "start_s": start_s}
        stop_s = min(self.stop_s, self.end_s - self.zero_s)
        self.facts["stop_s"] = stop_s if np.isfinite(stop_s) else np.nan
        return DecodedClip(
            step_s=self.step_s,
            target_times_s=picker.target_times_s,
            frames=pictures,
            times_s=times_s,
            audio=sound,
            audio_start_s=first_s,
            facts=self.facts | {"step_s": self.step_s},
        )
