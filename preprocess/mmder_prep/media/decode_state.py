"""State of one decoding pass: the frames picked and the audio buffered so far."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float32, Float64

from mmder_prep.media.audio_track import AudioTrack
from mmder_prep.media.channel_mixing import channel_positions, to_sides
from mmder_prep.media.container import check_frame_size
from mmder_prep.media.decoded_frame import DecodedFrame, match_sizes
from mmder_prep.media.frame_picker import FramePicker
from mmder_prep.media.frame_skipping import FrameSkipper, SkippedFrameNeededError
from mmder_prep.media.frame_times import FrameClock, timestamp_s
from mmder_prep.media.probing import NO_TIMES
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
        sought: bool,
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
            sought: True if the pass begins in the middle of the file.
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
        self.audio = AudioTrack()
        self.facts: dict[str, float | int] = {"decode_errors": 0}
        self.sought, self.unstamped = sought, 0
        """`unstamped` is the number of frames without a time stamp."""
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

    def on_error(self, packet: "Packet[Any]") -> None:
        """Count a packet that cannot be decoded.

        After a seek, a decoder rejects packets until the first that it needs no other
        for. They are not damaged.
        """
        name = "picture" if packet.stream is self.video_stream else "sound"
        self.facts["decode_errors"] += (
            not self.sought or f"{name}_start_s" in self.facts
        )

    def on_frame(self, frame: VideoFrame) -> bool:
        """Add a frame and return whether no further frame is needed."""
        stamp_s = self.clock.frame_s(frame)
        if stamp_s is None:
            self.unstamped += 1
            self.facts["decode_errors"] += not (self.clock.by_dts or self.sought)
            return False
        check_frame_size(frame.width, frame.height)
        return self.add_frame(stamp_s - self.zero_s, DecodedFrame(frame, self.aspect))

    def add_frame(self, now_s: float, frame: DecodedFrame) -> bool:
        """Add a frame at a time of the clip's clock.

        Return whether no further frame is needed.
        """
        self.facts.setdefault("picture_start_s", now_s)
        picker = self.picker or self._set_schedule(schedule_clip(now_s, self.step_s))
        for skipped_s in self._skipped_before(now_s):
            if picker.add(skipped_s, None):
                return True
        return picker.add(now_s, frame)

    def _skipped_before(self, before_s: float) -> list[float]:
        return self.skipper.skipped_before(before_s) if self.skipper else []

    def on_audio(self, frame: AudioFrame) -> bool:
        """Add an audio block and return whether no window needs more."""
        rate_hz = frame.sample_rate
        names, unknown = channel_positions([c.name for c in frame.layout.channels])
        if not 0 < rate_hz <= MAX_RATE_HZ:
            msg = f"audio at {rate_hz} Hz, at most {MAX_RATE_HZ}"
            raise MediaError(msg)
        self.facts.setdefault("sound_rate_hz", rate_hz)
        self.facts.setdefault("sound_channels", len(names))
        try:
            samples = frame.to_ndarray()
        except ValueError:
            self.facts["decode_errors"] += 1
            return False
        stamp_s = self._audio_stamp_s(frame)
        if not self.audio.empty:  # check before a gap is filled with zeros
            at_s = self.audio.shifted(stamp_s)
            if at_s >= self._audio_bounds_s()[1]:
                return True
            if at_s - self.audio.next_s > MAX_LEAD_S:
                msg = f"its audio jumps to {at_s:.0f} s; get it again, or cut it"
                raise MediaError(msg)
        planar = len(samples) > 1 or len(names) == 1
        sides = to_sides(samples, names, planar=planar)
        self.note(unknown)
        surround = len(names) > 2 and len(sides) == 2
        self.audio.add(stamp_s, sides, rate_hz=rate_hz, surround=surround)
        self.facts.setdefault("sound_start_s", self.audio.first_s)
        if self.video_stream is None and self.picker is None:
            self._set_schedule(schedule_clip(self.audio.first_s, self.step_s))
        low_s, high_s = self._audio_bounds_s()
        self.audio.drop_before(low_s)
        self._check_buffer_size()
        return self.audio.next_s >= high_s

    def _audio_stamp_s(self, frame: AudioFrame) -> float:
        """Return the time of an audio block on the clip's clock, NaN if unknown.

        In files joined from several, stamps may continue to count samples of the
        first rate. They are useless for another rate.
        """
        file_s, base = timestamp_s(frame), frame.time_base
        first_hz = self.facts["sound_rate_hz"]
        if file_s is None or base is None:
            return np.nan
        if frame.sample_rate != first_hz and base == Fraction(1, int(first_hz)):
            return np.nan
        return file_s - self.zero_s

    def note(self, text: str) -> None:
        """Note something unusual, once; an empty text is ignored."""
        if text and text not in self.notes:
            self.notes.append(text)

    def _check_buffer_size(self) -> None:
        too_long = self.audio.seconds > MAX_LEAD_S + 16 * self.step_s
        if too_long or self.audio.num_samples > MAX_BUFFERED_SAMPLES:
            msg = f"more than {MAX_LEAD_S:.0f} s of audio before the first frame"
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
            if self.audio.empty:
                msg = "nothing in it can be decoded; get it again"
                if self.unstamped and not self.clock.by_dts:
                    msg = NO_TIMES
                if "sound_start_s" in self.facts:
                    msg = f"it ends before the clip starts at {self.start_s} s"
                raise MediaError(msg)
            if picker is None:  # the file has a video stream, but no frame was decoded
                first_s = self.audio.first_s
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
        if self.video_stream is None:  # its stamps may start again
            self.end_s = max(self.end_s, self.audio.next_s + self.zero_s)
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
            msg = f"its video ends at {end_s:.3f} s, the clip starts at {start_s}"
            raise MediaError(msg)
        frames, changed = match_sizes(frames)
        self.note(changed)
        if any(frame.coded.interlaced_frame for frame in frames):
            self.note("interlaced video; both fields are kept in each frame")
        if picker.backward:
            self.note(f"{picker.backward} frames skipped: their time stamps go back")
        width, height = frames[0].size_px
        fps = 1 / picker.gap_s if picker.gap_s else np.nan
        self.facts |= {"clamped": clamped, "picture_fps": fps}
        self.facts |= {"picture_width_px": width, "picture_height_px": height}
        return frames, times_s

    def _finish_audio(self) -> tuple[Float32[np.ndarray, " time"], float]:
        low_s, high_s = self._audio_bounds_s()
        rate_hz = self.request.settings.sample_rate_hz
        audio, first_s, notes = self.audio.resample(rate_hz, low_s=low_s, high_s=high_s)
        self.notes += notes
        return audio, first_s
