"""Decode one clip: a media file in, its frames and its audio out.

Each file is read in one pass, with video and audio on one clock: the presentation time
stamps of the file, minus the time at which the file starts. The frame counts, rates and
durations claimed by a header are never used. Frames stay in the decoder's format until
they are needed.
"""

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from mmder_prep.media.clip import Clip
from mmder_prep.media.container import (
    choose_streams,
    file_start_s,
    open_media,
    packets,
)
from mmder_prep.media.decode_state import DecodeState
from mmder_prep.media.frame_skipping import SkippedFrameNeededError
from mmder_prep.media.frame_times import (
    DisorderedTimesError,
    FrameClock,
    packet_end_s,
    packet_time_s,
    stores_presentation_times,
)
from mmder_prep.media.source import Source
from mmder_prep.media.types import DecodedClip, DecodeRequest
from mmder_prep.timeline import spread_step
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings

MAX_DECODE_S = 120.0
"""Maximum wall time per file; a clip of speech takes under a second."""
MAX_SPREAD_S = 600.0
"""Maximum duration over which 16 frames are spread; all of the clip's audio is then in
memory at once."""
SEEK_FROM_S = 5.0
"""Start time from which a segment is reached by seeking instead of decoding."""
MAX_TAIL_PACKETS = 20_000
"""Maximum number of packets read, without decoding, to find the end of a file. This
is several minutes of speech."""
MAX_DELAY = 16
"""Maximum reorder delay of any codec, in packets."""
MAX_PROBED_PACKETS = 300
"""Number of packets in which the first frame is searched."""


def read_clip(clip: Clip, settings: PrepSettings) -> DecodedClip:
    """Decode one clip from one file, or from separate video and audio files.

    Raises:
        MediaError: If nothing of it can be decoded, or if a file claims implausible
            sizes.
    """
    want_video = settings.modality == "av"
    request = DecodeRequest(
        source=clip.source,
        segment=clip.segment,
        settings=settings,
        want_video=want_video,
    )
    if clip.audio is None:
        return _read_file(request)
    offset_s = clip.audio_start_s or 0.0
    audio_request = replace(
        request, source=clip.audio, offset_s=offset_s, want_video=False
    )
    if not want_video:
        return _read_file(audio_request)
    try:
        video = _read_file(replace(request, want_audio=False))
    except MediaError as error:
        return replace(_read_file(audio_request), problem=f"picture: {error}")
    if clip.audio_start_s is None:  # after a seek the first frame is not the file's
        first_s = video.facts.get("picture_start_s")
        offset_s = _first_frame_s(request) if first_s is None else first_s
        audio_request = replace(audio_request, offset_s=offset_s)
    try:
        audio = _read_file(replace(audio_request, schedule=video.schedule))
    except MediaError as error:
        return replace(video, problem=f"sound file: {error}")
    errors = video.facts["decode_errors"] + audio.facts["decode_errors"]
    return replace(
        video,
        audio=audio.audio,
        audio_start_s=audio.audio_start_s,
        notes=video.notes + audio.notes,
        facts=audio.facts | video.facts | {"decode_errors": errors},
    )


def _read_file(request: DecodeRequest) -> DecodedClip:
    """Decode one file, again with other means if the first way turns out wrong.

    Frames are skipped unless a skipped frame turns out to be needed. Presentation times
    are used unless they turn out to go back.
    """
    step_s, skip, by_dts = _step_s(request), True, False
    while True:
        try:
            return _read_segment(request, step_s, skip=skip, by_dts=by_dts)
        except SkippedFrameNeededError:
            skip = False
        except DisorderedTimesError:
            by_dts = True


def _read_segment(
    request: DecodeRequest, step_s: float, *, skip: bool, by_dts: bool
) -> DecodedClip:
    """Decode one file, after a seek if the segment starts late and the seek succeeds.

    Formats without an index cannot be sought, or the seek ends after the start of the
    segment. Such files are read from the start.
    """
    start_s = request.segment.start_s
    if start_s is not None and start_s - request.offset_s > SEEK_FROM_S:
        seek_s = start_s - 2 * step_s - 1
        with suppress(MediaError, FFmpegError):
            decoded, began_late = _read_once(
                request, step_s, skip=skip, by_dts=by_dts, seek_s=seek_s
            )
            if not began_late:
                return decoded
    return _read_once(request, step_s, skip=skip, by_dts=by_dts, seek_s=None)[0]


def _read_once(
    request: DecodeRequest,
    step_s: float,
    *,
    skip: bool,
    by_dts: bool,
    seek_s: float | None,
) -> tuple[DecodedClip, bool]:
    """Decode one file in one pass.

    Returns:
        The decoded clip, and whether the pass began too late after a seek.
    """
    with open_media(request.source) as container:
        video, audio = choose_streams(
            container, want_video=request.want_video, want_audio=request.want_audio
        )
        clock = FrameClock(by_dts=by_dts)
        if video is not None and not stores_presentation_times(container):
            clock = FrameClock(by_dts=True, delay=_reorder_delay(request.source))
        state = DecodeState(
            request,
            step_s,
            file_start_s=file_start_s(container),
            video=video,
            audio=audio,
            clock=clock,
            skip=skip,
        )
        if seek_s is not None:
            container.seek(int((seek_s + state.zero_s) * 1_000_000), backward=True)
        _decode_packets(container, state)
    began_late = seek_s is not None and state.finish_seek()
    return state.result(), began_late


def _reorder_delay(source: Source) -> int:
    """Return the reorder delay of the decoder, measured at the start of a file.

    It is the number of packets between the first key frame and the packet for which the
    decoder returns it. Without a packet marked as a key frame, the first counts as one.
    """
    with open_media(source) as container:
        video, _ = choose_streams(container, want_video=True, want_audio=False)
        first, key = 0, False
        for index, packet in enumerate(packets(container, [video])):
            if packet.is_keyframe and not key:
                first, key = index, True
            try:
                decoded = packet.decode()
            except (FFmpegError, ValueError):
                first, key = index + 1, False
                continue
            if decoded:
                return min(index - first, MAX_DELAY)
            if index >= MAX_PROBED_PACKETS:
                break
    return 0


def _decode_packets(container: InputContainer, state: DecodeState) -> None:
    """Decode until the last frame and the last audio sample needed.

    The remaining packets are read without decoding, to find the end of the file.

    Raises:
        MediaError: If it takes longer than `MAX_DECODE_S`.
    """
    video, audio = state.video_stream, state.audio_stream
    deadline = time.monotonic() + MAX_DECODE_S
    pending = {s.index for s in (video, audio) if s is not None}
    tail_packets = 0
    for packet in state.lookahead(packets(container, [video, audio])):
        if packet.stream is (video or audio):
            end_s = packet_end_s(packet, by_dts=state.clock.by_dts)
            state.end_s = max(state.end_s, end_s or -np.inf)
        if not pending:
            tail_packets += 1
            if tail_packets > MAX_TAIL_PACKETS:
                state.end_s = np.nan
                return
        if packet.stream.index not in pending:
            continue
        if packet.stream is video:
            state.before_packet(packet)
        try:
            frames = packet.decode()
        except (FFmpegError, ValueError):
            state.facts["decode_errors"] += 1
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame):
                done = state.on_frame(frame)
            elif isinstance(frame, AudioFrame):
                done = state.on_audio(frame)
            if done:
                pending.discard(packet.stream.index)
                break
        if not pending and np.isfinite(state.stop_s):
            state.end_s = np.inf  # the file continues after the segment
            return
        if time.monotonic() > deadline:
            msg = f"not decoded within {MAX_DECODE_S:.0f} s"
            raise MediaError(msg)


def _step_s(request: DecodeRequest) -> float:
    """Return the step of the target times, from the settings or from the duration."""
    if request.schedule is not None:
        return request.schedule.step_s
    if request.settings.step_s is not None:
        return request.settings.step_s
    stop_s = request.segment.stop_s
    if stop_s is None or not np.isfinite(stop_s):
        stop_s = _file_end_s(request)
    duration_s = stop_s - (request.segment.start_s or 0.0)
    if duration_s <= 0:
        msg = f"it ends at {stop_s:.3f} s, before the clip starts"
        raise MediaError(msg)
    if duration_s > MAX_SPREAD_S:
        msg = (
            f"{duration_s:.0f} s to spread 16 frames over, at most "
            f"{MAX_SPREAD_S:.0f}; say where the clip starts and stops"
        )
        raise MediaError(msg)
    return spread_step(duration_s, request.settings)


def _file_end_s(request: DecodeRequest) -> float:
    """Return the end of a file from the time stamps of its packets, undecoded."""
    with open_media(request.source) as container:
        video, audio = choose_streams(
            container, want_video=request.want_video, want_audio=request.want_audio
        )
        by_dts = video is not None and not stores_presentation_times(container)
        ends_s = [
            end_s
            for packet in packets(container, [video or audio])
            if (end_s := packet_end_s(packet, by_dts=by_dts)) is not None
        ]
        if not ends_s:
            msg = "no packet in it has a time stamp"
            raise MediaError(msg)
        return max(ends_s) - file_start_s(container) + request.offset_s


def _first_frame_s(request: DecodeRequest) -> float:
    """Return the time of the first frame of a file, undecoded."""
    with open_media(request.source) as container:
        video, _ = choose_streams(container, want_video=True, want_audio=False)
        by_dts = not stores_presentation_times(container)
        for packet in packets(container, [video]):
            time_s = packet_time_s(packet, by_dts=by_dts)
            if time_s is not None:
                return time_s - file_start_s(container)
    return 0.0
