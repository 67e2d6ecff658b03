"""Decode one clip: a media file in, its frames and its audio out.

Each file is read in one pass, with video and audio on one clock: the presentation time
stamps of the file, minus the time at which the file starts. The frame counts, rates and
durations claimed by a header are never used. Frames stay in the decoder's format until
they are needed.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from mmder_prep.media.audio_buffer import clip_audio, silent_fraction
from mmder_prep.media.clip import Clip
from mmder_prep.media.container import file_start_s, open_media, packets
from mmder_prep.media.decode_state import DecodeState
from mmder_prep.media.frame_skipping import SkippedFrameNeededError
from mmder_prep.media.frame_times import (
    DisorderedTimesError,
    FrameClock,
    packet_end_s,
    stores_presentation_times,
)
from mmder_prep.media.probing import find_step_s, first_frame_s, reorder_delay
from mmder_prep.media.stream_choice import (
    NoFurtherTrackError,
    choice_notes,
    choose_streams,
)
from mmder_prep.media.types import DecodedClip, DecodeRequest
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings

MAX_DECODE_S = 120.0
"""Maximum wall time per file; a clip of speech takes under a second."""
SEEK_FROM_S = 5.0
"""Start time from which a segment is reached by seeking instead of decoding."""
MAX_TRACKS = 8
"""Maximum number of tracks of one kind that are tried."""
SILENT_FRACTION = 0.98
"""Fraction of silent blocks from which another audio track is tried."""
MAX_TAIL_PACKETS = 20_000
"""Maximum number of packets read, without decoding, to find the end of a file. This
is several minutes of speech."""


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
        return replace(_read_file(audio_request), problem=f"video: {error}")
    if clip.audio_start_s is None:  # after a seek the first frame is not the file's
        first_s = video.facts.get("picture_start_s")
        offset_s = first_frame_s(request) if first_s is None else first_s
        audio_request = replace(audio_request, offset_s=offset_s)
    try:
        audio = _read_file(replace(audio_request, schedule=video.schedule))
    except MediaError as error:
        return replace(video, problem=f"audio file: {error}")
    errors = video.facts["decode_errors"] + audio.facts["decode_errors"]
    return replace(
        video,
        audio=audio.audio,
        audio_start_s=audio.audio_start_s,
        notes=video.notes + audio.notes,
        facts=audio.facts | video.facts | {"decode_errors": errors},
    )


def _read_file(request: DecodeRequest) -> DecodedClip:
    """Decode one file; a track that is of no use is replaced by the next of its kind.

    If none is of use, the first is kept.
    """
    decoded = _read_tracks(request)
    if decoded.frames and _is_image(decoded):
        request, decoded = _next_track(request, decoded, "video", _is_image)
    silent = partial(_is_silent, rate_hz=request.settings.sample_rate_hz)
    if request.want_audio and silent(decoded):
        request, decoded = _next_track(request, decoded, "audio", silent)
    return decoded


def _next_track(
    request: DecodeRequest,
    first: DecodedClip,
    kind: Literal["video", "audio"],
    useless: Callable[[DecodedClip], bool],
) -> tuple[DecodeRequest, DecodedClip]:
    """Return the request and the clip of the first track that is of use."""
    for rank in range(1, MAX_TRACKS):
        another = replace(request, ranks=replace(request.ranks, **{kind: rank}))
        try:
            decoded = _read_tracks(another)
        except NoFurtherTrackError:
            break
        except MediaError:
            continue
        if not useless(decoded):
            return another, decoded
    return request, first


def _is_image(decoded: DecodedClip) -> bool:
    """Return whether the video has one frame, or none."""
    return not np.isfinite(decoded.facts.get("picture_fps", np.nan))


def _is_silent(decoded: DecodedClip, rate_hz: int) -> bool:
    """Return whether next to no audio falls into the clip."""
    audio, _ = clip_audio(
        decoded.audio,
        rate_hz,
        first_s=decoded.audio_start_s,
        bounds_s=decoded.schedule.span_s,
    )
    return silent_fraction(audio, rate_hz) > SILENT_FRACTION


def _read_tracks(request: DecodeRequest) -> DecodedClip:
    """Decode one file, again with other means if the first way turns out wrong.

    Frames are skipped unless a skipped frame turns out to be needed. Presentation times
    are used unless they turn out to go back.
    """
    step_s, skip, by_dts = find_step_s(request), True, False
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
            container,
            want_video=request.want_video,
            want_audio=request.want_audio,
            ranks=request.ranks,
        )
        clock = FrameClock(by_dts=by_dts)
        if video is not None and not stores_presentation_times(container):
            clock = FrameClock(by_dts=True, delay=reorder_delay(request))
        state = DecodeState(
            request,
            step_s,
            file_start_s=file_start_s(container),
            video=video,
            audio=audio,
            clock=clock,
            skip=skip,
            sought=seek_s is not None,
        )
        state.notes += choice_notes(container, video, audio, request.ranks)
        if seek_s is not None:
            container.seek(int((seek_s + state.zero_s) * 1_000_000), backward=True)
        _decode_packets(container, state)
    began_late = seek_s is not None and state.finish_seek()
    return state.result(), began_late


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
    failures: list[str] = []
    demuxed = packets(container, [video, audio], failures.append)
    for packet in state.lookahead(demuxed):
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
            state.on_error(packet)
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
    if pending and failures:
        state.note(f"not readable to its end ({failures[0]})")
