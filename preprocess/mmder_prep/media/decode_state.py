"""State of one decoding pass: the frames picked and the audio buffered so far."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float32, Float64

from mmder_prep.media.audio_buffer import AudioBuffer, mix
from mmder_prep.media.container import check_frame_size
from mmder_prep.media.decoded_frame import DecodedFrame
from mmder_prep.media.frame_picker import FramePicker
from mmder_prep.media.frame_skipping import FrameSkipper, SkippedFrameNeededError
from mmder_prep.media.frame_times import FrameClock, timestamp_s
from mmder_prep.media.types import DecodedClip, DecodeRequest
from mmder_prep.timeline import EARLY_S, ClipSchedule, schedule_clip
from mmder_store.errors import MediaError
from mmder_store.settings import FRAMES_16

MAX_RATE_HZ = 768_000
"""Maximum sample rate of the audio."""
MAX_LEAD_S = 600.0
"""Maximum duration of audio that is buffered before the first frame."""
MAX_BUFFERED_SAMPLES = 60_000_000
"""Maximum number of buffered samples, for sample rates far above those of speech: a
quarter of a gigabyte."""


class DecodeState:
    """Collects the frames and the audio of one pass over one file."""

    def __init__(
        self,
        request: DecodeRequest,
        step_s: float,
        *,
        file_start_s: float,
        video: VideoStream | None,
        audio: AudioStream | None,
        clock: FrameClock,
        skip: bool,
    ) -> None:
        """Create the state of a pass that has not begun.

        Args:
            request: File and segment to decode.
            step_s: Distance between two target times.
            file_start_s: Start time of the file on its own clock.
            video: Video stream to decode, if any.
            audio: Audio stream to decode, if any.
            clock: Source of the times of frames.
            skip: Allow the decoder to skip frames that are not needed.
        """
        self.request, self.step_s = request, step_s
        self.start_s = request.segment.start_s
        stop_s = request.segment.stop_s
        self.stop_s = np.inf if stop_s is None else stop_s
        self.zero_s = file_start_s - request.offset_s
        """Zero of the clip's clock, on the clock of the file."""
        self.end_s = -np.inf
        """End of the file on its own clock: NaN if unknown, infinite if not reached."""
        self.video_stream, self.audio_stream, self.clock = video, audio, clock
        self.aspect: Fraction | None = None
        self.skipper: FrameSkipper | None = None
        if video is not None:
            self.aspect = video.sample_aspect_ratio
            if skip and not clock.by_dts:
                self.skipper = FrameSkipper(video, zero_s=self.zero_s)
        self.schedule: ClipSchedule | None = None
        self.picker: FramePicker[DecodedFrame | None] | None = None
        self.audio_buffer: AudioBuffer | None = None
        self.facts: dict[str, float | int] = {"decode_errors": 0}
        self.notes: list[str] = []
        """Unusual properties of the file."""
        if request.schedule is not None:
            self._set_schedule(request.schedule)
        elif self.start_s is not None:
            self._set_schedule(schedule_clip(self.start_s, step_s))

    def _set_schedule(self, schedule: ClipSchedule) -> FramePicker[DecodedFrame | None]:
        self.schedule = schedule
        self.picker = FramePicker(schedule.target_times_s, stop_s=self.stop_s)
        return self.picker

    def _audio_bounds_s(self) -> tuple[float, float]:
        """Return the bounds of the audio that is needed and is part of the clip."""
        low_s, high_s = self.schedule.span_s if self.schedule else (-np.inf, np.inf)
        if self.start_s is not None:
            low_s = max(low_s, self.start_s)
        return low_s, min(high_s, self.stop_s)

    def lookahead(self, packets: "Iterable[Packet[Any]]") -> "Iterable[Packet[Any]]":
        """Return the packets, delayed as far as skipping frames requires it."""
        return packets if self.skipper is None else self.skipper.lookahead(packets)

    def before_packet(self, packet: "Packet[Any]") -> None:
        """Prepare for the decoding of a video packet, or for skipping its frame."""
        self.clock.sent(packet)
        if self.skipper is not None:
            targets_s = None
            if self.picker is not None and not self.picker.empty:
                targets_s = self.picker.target_times_s
            self.skipper.configure(packet, targets_s, stop_s=self.stop_s)

    def on_frame(self, frame: VideoFrame) -> bool:
        """Add a frame and return whether no further frame is needed."""
        stamp_s = self.clock.frame_s(frame)
        if stamp_s is None:
            self.facts["decode_errors"] += not self.clock.by_dts
            return False
        check_frame_size(frame.width, frame.height)
        now_s = stamp_s - self.zero_s
        self.facts.setdefault("picture_start_s", now_s)
        picker = self.picker or self._set_schedule(schedule_clip(now_s, self.step_s))
        for skipped_s in self._skipped_before(now_s):
            if picker.add(skipped_s, None):
                return True
        return picker.add(now_s, DecodedFrame(frame, self.aspect))

    def _skipped_before(self, before_s: float) -> list[float]:
        return self.skipper.skipped_before(before_s) if self.skipper else []

    def on_audio(self, frame: AudioFrame) -> bool:
        """Add an audio block and return whether no window needs more."""
        rate_hz, channels = frame.sample_rate, frame.layout.nb_channels
        if not 0 < rate_hz <= MAX_RATE_HZ:
            msg = f"sound at {rate_hz} Hz, at most {MAX_RATE_HZ}"
            raise MediaError(msg)
        if self.audio_buffer is None:
            self.audio_buffer = AudioBuffer(rate_hz)
            self.facts |= {"sound_rate_hz": rate_hz, "sound_channels": channels}
        file_s = timestamp_s(frame)
        stamp_s = np.nan if file_s is None else file_s - self.zero_s
        try:
            if rate_hz != self.audio_buffer.rate_hz:
                msg = "the sample rate changes within the file"
                raise ValueError(msg)
            samples = frame.to_ndarray()
        except ValueError:
            self.facts["decode_errors"] += 1
            return False
        if not self.audio_buffer.empty:  # check before a gap is filled with zeros
            if stamp_s >= self._audio_bounds_s()[1]:
                return True
            if stamp_s - self.audio_buffer.next_s > MAX_LEAD_S:
                msg = f"its sound jumps to {stamp_s:.0f} s; get it again, or cut it"
                raise MediaError(msg)
        planar = len(samples) > 1 or channels == 1
        self.audio_buffer.add(stamp_s, mix(samples, channels=channels, planar=planar))
        self.facts.setdefault("sound_start_s", self.audio_buffer.first_s)
        if self.video_stream is None and self.picker is None:
            self._set_schedule(schedule_clip(self.audio_buffer.first_s, self.step_s))
        low_s, high_s = self._audio_bounds_s()
        self.audio_buffer.drop_before(low_s)
        self._check_buffer_size(self.audio_buffer)
        return self.audio_buffer.next_s >= high_s

    def _check_buffer_size(self, audio: AudioBuffer) -> None:
        too_long = audio.seconds > MAX_LEAD_S + 16 * self.step_s
        if too_long or audio.seconds * audio.rate_hz > MAX_BUFFERED_SAMPLES:
            msg = f"more than {MAX_LEAD_S:.0f} s of sound before the first picture"
            raise MediaError(msg)

    def finish_seek(self) -> bool:
        """Return whether a pass after a seek began later than the clip.

        The start times are removed from the facts: after a seek, the first frame that
        is decoded is not the first one of the file.
        """
        begins_s = {
            self.video_stream: self.facts.pop("picture_start_s", None),
            self.audio_stream: self.facts.pop("sound_start_s", None),
        }
        latest_s = (self.start_s or 0.0) + EARLY_S
        return any(
            begin_s is None or begin_s > latest_s
            for stream, begin_s in begins_s.items()
            if stream is not None
        )

    def result(self) -> DecodedClip:
        """Return the decoded clip.

        Raises:
            MediaError: If nothing was decoded, or if the file ends before the clip.
            SkippedFrameNeededError: If a skipped frame is needed.
        """
        picker = self.picker
        if picker is None or picker.empty:
            if self.audio_buffer is None or self.audio_buffer.empty:
                msg = "nothing in it can be decoded; get it again"
                if "sound_start_s" in self.facts:
                    msg = f"it ends before the clip starts at {self.start_s} s"
                raise MediaError(msg)
            if picker is None:  # the file has a video stream, but no frame was decoded
                first_s = self.audio_buffer.first_s
                picker = self._set_schedule(schedule_clip(first_s, self.step_s))
        schedule = self.schedule
        assert schedule is not None
        frames: list[DecodedFrame] = []
        times_s = np.zeros(0)
        if not picker.empty:
            frames, times_s = self._finish_frames(picker)
        audio, audio_start_s = self._finish_audio()
        start_s = float(schedule.target_times_s[0])
        self.facts |= {"media_start_s": self.zero_s, "start_s": start_s}
        stop_s = min(self.stop_s, self.end_s - self.zero_s)
        self.facts["stop_s"] = stop_s if np.isfinite(stop_s) else np.nan
        return DecodedClip(
            schedule=schedule,
            frames=frames,
            times_s=times_s,
            audio=audio,
            audio_start_s=audio_start_s,
            facts=self.facts | {"step_s": self.step_s},
            notes=tuple(self.notes),
        )

    def _finish_frames(
        self, picker: FramePicker[DecodedFrame | None]
    ) -> tuple[list[DecodedFrame], Float64[np.ndarray, " frame"]]:
        for skipped_s in self._skipped_before(np.inf):
            if picker.complete or picker.add(skipped_s, None):
                break
        picked, times_s, clamped = picker.finish()
        frames = [frame for frame in picked if frame is not None]
        errors = self.facts["decode_errors"] and self.skipper and self.skipper.used
        if len(frames) < len(picked) or errors:
            raise SkippedFrameNeededError
        if clamped == FRAMES_16:
            end_s, start_s = times_s[-1] + picker.gap_s, picker.target_times_s[0]
            msg = f"its picture ends at {end_s:.3f} s, the clip starts at {start_s}"
            raise MediaError(msg)
        self._note_frames(frames, picker.backward)
        frames = self._match_sizes(frames)
        width, height = frames[0].size_px
        fps = 1 / picker.gap_s if picker.gap_s else np.nan
        self.facts |= {"clamped": clamped, "picture_fps": fps}
        self.facts |= {"picture_width_px": width, "picture_height_px": height}
        return frames, times_s

    def _match_sizes(self, frames: list[DecodedFrame]) -> list[DecodedFrame]:
        """Return frames of one size, that of the first; note a change of the size."""
        first = frames[0].size_px
        others = sorted({f.size_px for f in frames} - {first})
        if not others:
            return frames
        sizes = ", ".join(f"{width} x {height}" for width, height in others)
        self.notes.append(
            f"frame size changes from {first[0]} x {first[1]} to {sizes} px; later "
            "frames are scaled to the first"
        )
        # Frames that repeat one frame stay one object.
        scaled = {id(f): replace(f, scaled_px=first) for f in frames}
        return [f if f.size_px == first else scaled[id(f)] for f in frames]

    def _note_frames(self, frames: list[DecodedFrame], backward: int) -> None:
        """Note unusual properties of the frames."""
        if any(frame.coded.interlaced_frame for frame in frames):
            self.notes.append("interlaced video; both fields are kept in each frame")
        if backward:
            self.notes.append(f"{backward} frames skipped: their time stamps go back")

    def _finish_audio(self) -> tuple[Float32[np.ndarray, " time"], float]:
        if self.audio_buffer is None:
            return np.zeros(0, dtype=np.float32), 0.0
        low_s, high_s = self._audio_bounds_s()
        rate_hz = self.request.settings.sample_rate_hz
        return self.audio_buffer.resample(rate_hz, low_s=low_s, high_s=high_s)
