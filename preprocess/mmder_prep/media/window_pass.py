"""One decoding pass over a recording, with the windows around the current position.

A window is a clip with a start and a stop. Each window has its own `DecodeState`, the
one that decodes clips, and receives the frames and the audio around it. A window
therefore has the same frames and audio as a clip with its start and stop. Only the
windows around the current position are in memory.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mmder_prep.media.clip import Segment
from mmder_prep.media.container import check_frame_size, file_start_s, packets
from mmder_prep.media.decode_state import MAX_LEAD_S, DecodeState
from mmder_prep.media.decoded_frame import DecodedFrame
from mmder_prep.media.decoder import MAX_DECODE_S
from mmder_prep.media.frame_times import (
    FrameClock,
    packet_end_s,
    packet_time_s,
    timestamp_s,
)
from mmder_prep.media.stream_choice import choice_notes
from mmder_prep.media.types import DecodedWindow, DecodeRequest
from mmder_prep.media.window_plan import WindowPlan
from mmder_store.errors import MediaError

LEAD_S = 1.0
"""Time before its start from which a window receives frames and audio."""
MAX_APART_S = 30.0
"""Maximum time between the current positions of video and audio. A track that is
further behind counts as ended until it resumes."""


@dataclass(kw_only=True, slots=True)
class OpenWindow:
    """A window that is not finished."""

    index: int
    start_s: float
    stop_s: float
    state: DecodeState
    video_done: bool
    audio_done: bool
    problem: str = ""

    @property
    def done(self) -> bool:
        """True if the window needs nothing more."""
        return bool(self.problem) or (self.video_done and self.audio_done)


class WindowPass:
    """Decodes a recording once, and yields its windows in order."""

    def __init__(
        self,
        container: InputContainer,
        request: DecodeRequest,
        plan: WindowPlan,
        clock: FrameClock,
        *,
        video: VideoStream | None,
        audio: AudioStream | None,
    ) -> None:
        """Create a pass that has not begun.

        Args:
            container: The opened file.
            request: File to decode, and settings.
            plan: Times of the windows.
            clock: Source of the times of frames.
            video: Video stream to decode, if any.
            audio: Audio stream to decode, if any.
        """
        self.container, self.request, self.plan = container, request, plan
        self.clock, self.video, self.audio = clock, video, audio
        self.zero_s = file_start_s(container)
        self.notes = choice_notes(container, video, audio, request.ranks)
        self.windows: deque[OpenWindow] = deque()
        self.opened = 0
        self.end_s = -np.inf
        """End of the packets so far, on the clock of the file."""
        self.reached_s: dict[str, float] = {}
        """Current position of ``video`` and ``audio``."""
        self.ended: set[str] = set()
        """Tracks that count as ended, because the other is far ahead."""
        self.last_frame: tuple[float, DecodedFrame] | None = None
        self.newest: DecodeState | None = None
        """State of the newest window. It has seen all recent audio."""

    def run(self) -> Iterator[DecodedWindow]:
        """Decode the recording, and yield each window as soon as it is complete.

        Raises:
            MediaError: If nothing can be decoded, if video and audio are not
                interleaved, or if the time stamps jump.
        """
        failures: list[str] = []
        deadline = time.monotonic() + MAX_DECODE_S
        streams = [self.video, self.audio]
        for packet in packets(self.container, streams, failures.append):
            self._decode(packet)
            while self.windows and self.windows[0].done:
                yield self._finish(self.windows.popleft(), end_s=np.inf)
                deadline = time.monotonic() + MAX_DECODE_S
            if not self.windows and not self.plan.has(self.opened):
                break
            if time.monotonic() > deadline:
                msg = f"no window decoded within {MAX_DECODE_S:.0f} s"
                raise MediaError(msg)
        if not self.opened:
            msg = "nothing in it can be decoded; get it again"
            raise MediaError(msg)
        for window in self.windows:
            if failures:
                window.state.note(f"not readable to its end ({failures[0]})")
        end_s = self.end_s - self.zero_s
        if self.video is None:  # its stamps may start again
            end_s = max(end_s, self.reached_s.get("audio", -np.inf))
        for window in self.windows:
            if self.plan.has(window.index, end_s):
                yield self._finish(window, end_s=end_s)

    def _finish(self, window: OpenWindow, *, end_s: float) -> DecodedWindow:
        """Return a finished window.

        Args:
            window: A window.
            end_s: End of the recording, infinite if it was not reached.
        """
        state, decoded, problem = window.state, None, window.problem
        state.end_s = end_s + self.zero_s
        for note in self.notes:
            state.note(note)
        if not problem:
            try:
                decoded = state.result()
            except MediaError as error:
                problem = str(error)
        return DecodedWindow(
            start_s=window.start_s,
            stop_s=window.stop_s,
            end_s=min(window.stop_s, end_s, self.plan.stop_s),
            decoded=decoded,
            problem=problem,
        )

    def _decode(self, packet: "Packet[Any]") -> None:
        """Decode a packet, and pass its content to the windows."""
        if packet.stream is (self.video or self.audio):
            packet_s = packet_end_s(packet, by_dts=self.clock.by_dts)
            self.end_s = max(self.end_s, -np.inf if packet_s is None else packet_s)
        kind = "video" if packet.stream is self.video else "audio"
        if packet.size and kind in self.ended:
            self._resume(kind, packet)
        if kind == "video":
            self.clock.sent(packet)
        try:
            frames = packet.decode()
        except (FFmpegError, ValueError):
            for window in self.windows:
                window.state.on_error(packet)
            return
        for frame in frames:
            if isinstance(frame, VideoFrame):
                self._on_frame(frame)
            elif isinstance(frame, AudioFrame):
                self._on_audio(frame)

    def _resume(self, kind: str, packet: "Packet[Any]") -> None:
        """Resume a track that counted as ended.

        Raises:
            MediaError: If a finished window would have needed the packet.
        """
        packet_s = packet_time_s(packet, by_dts=kind == "video" and self.clock.by_dts)
        oldest_s = self.plan.start_s(self.opened)
        if self.windows:
            oldest_s = self.windows[0].start_s
        if packet_s is None or packet_s - self.zero_s < oldest_s:
            msg = (
                f"its {kind} is stored {MAX_APART_S:.0f} s or more behind the other "
                "track; interleave them with 'ffmpeg -i IN -c copy OUT.mp4'"
            )
            raise MediaError(msg)
        self.ended.discard(kind)
        self.reached_s[kind] = packet_s - self.zero_s
        for window in self.windows:
            if kind == "video":
                window.video_done = False
            else:
                window.audio_done = False

    def _on_frame(self, frame: VideoFrame) -> None:
        assert self.video is not None
        stamp_s = self.clock.frame_s(frame)
        if stamp_s is None:
            for window in self.windows:
                window.state.unstamped += 1
                window.state.facts["decode_errors"] += not self.clock.by_dts
            return
        check_frame_size(frame.width, frame.height)
        now_s = stamp_s - self.zero_s
        shown = DecodedFrame(frame, self.video.sample_aspect_ratio)
        self._reach("video", now_s, until_s=now_s)
        for window in self.windows:
            if not window.video_done:
                window.video_done = window.state.add_frame(now_s, shown)
        self.last_frame = now_s, shown

    def _on_audio(self, frame: AudioFrame) -> None:
        stamp_s = timestamp_s(frame)
        now_s = self.reached_s.get("audio", 0.0)
        if stamp_s is not None:
            now_s = stamp_s - self.zero_s
            now_s += self.newest.audio.shifted(0.0) if self.newest else 0.0
        length_s = frame.samples / max(1, frame.sample_rate)
        self._reach("audio", now_s, until_s=now_s + length_s)
        for window in self.windows:
            if window.done or window.audio_done:
                continue
            try:
                window.audio_done = window.state.on_audio(frame)
            except MediaError as error:
                window.problem = str(error)

    def _reach(self, kind: str, now_s: float, *, until_s: float) -> None:
        """Open the windows up to a position, and end a track that is far behind.

        Args:
            kind: ``video`` or ``audio``.
            now_s: Start of the frame or of the block of audio.
            until_s: End of it. Every window that it is part of is opened.

        Raises:
            MediaError: If the position is far ahead of the last one.
        """
        last_s = max(self.reached_s.values(), default=now_s)
        if now_s - last_s > MAX_LEAD_S:
            msg = f"its time stamps jump from {last_s:.0f} to {now_s:.0f} s"
            raise MediaError(msg)
        self.reached_s[kind] = max(self.reached_s.get(kind, now_s), now_s)
        for other, stream in (("video", self.video), ("audio", self.audio)):
            behind_s = now_s - self.reached_s.get(other, 0.0)
            if stream is not None and behind_s > MAX_APART_S:
                self.ended.add(other)
        while self._must_open(until_s):
            self._open_next()
        for window in self.windows:
            window.video_done |= "video" in self.ended
            window.audio_done |= "audio" in self.ended

    def _must_open(self, until_s: float) -> bool:
        """Return whether the next window begins.

        The next one also begins if none receives audio, so that no audio passes unseen:
        after a restart of the time stamps, a window must know how far they went back.
        """
        if not self.plan.has(self.opened):
            return False
        listens = self.audio is not None and "audio" not in self.ended
        unseen = listens and all(w.audio_done for w in self.windows)
        return unseen or until_s >= self.plan.start_s(self.opened) - LEAD_S

    def _open_next(self) -> None:
        start_s = self.plan.start_s(self.opened)
        stop_s = start_s + self.plan.length_s
        state = DecodeState(
            DecodeRequest(
                source=self.request.source,
                segment=Segment(start_s=start_s, stop_s=min(stop_s, self.plan.stop_s)),
                settings=self.request.settings,
                want_video=self.request.want_video,
            ),
            self.plan.step_s,
            file_start_s=self.zero_s,
            video=self.video,
            audio=self.audio,
            clock=self.clock,
            skip=False,
            sought=False,
        )
        window = OpenWindow(
            index=self.opened,
            start_s=start_s,
            stop_s=stop_s,
            state=state,
            video_done=self.video is None,
            audio_done=self.audio is None,
        )
        if self.newest is not None:
            state.audio.continue_from(self.newest.audio)
        if self.last_frame is not None and not window.video_done:
            state.add_frame(*self.last_frame)
        self.windows.append(window)
        self.opened += 1
        self.newest = state
