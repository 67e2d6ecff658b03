"""Choice of one video and one audio track of a file.

The default track comes first, then tracks that are not much shorter than the longest,
then the order of the file. Cover art does not count as video. A track that turns out to
be silent, or to be a single image, is replaced by the next; see `decoder`.
"""

from dataclasses import dataclass
from typing import TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mmder_prep.media.container import MAX_PIXELS, check_frame_size
from mmder_store.errors import MediaError

Track = TypeVar("Track", VideoStream, AudioStream)
SHORT_FRACTION = 0.5
"""Fraction of the longest track's duration below which a track is short."""


class NoFurtherTrackError(MediaError):
    """There is no track of the requested rank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackRanks:
    """Ranks of the tracks to use; 0 is the best by the header of the file."""

    video: int = 0
    audio: int = 0


BEST = TrackRanks()


def choose_streams(
    container: InputContainer,
    *,
    want_video: bool,
    want_audio: bool,
    ranks: TrackRanks = BEST,
) -> tuple[VideoStream | None, AudioStream | None]:
    """Return one video and one audio stream, set to one thread each.

    Raises:
        MediaError: If no requested stream exists, or if a frame is too large.
        NoFurtherTrackError: If a stream exists, but not of the requested rank.
    """
    video = _of_rank(ranked_videos(container), ranks.video) if want_video else None
    audio = _of_rank(ranked_audios(container), ranks.audio) if want_audio else None
    if video is None and audio is None:
        none = "no video" if not want_audio else "neither video nor audio"
        msg = f"{none} in the file" if want_video else "no audio in the file"
        raise MediaError(msg)
    if video is not None:
        check_frame_size(video.codec_context.width, video.codec_context.height)
        video.codec_context.options = MAX_PIXELS
        video.codec_context.thread_count = 1
    if audio is not None:
        audio.codec_context.thread_count = 1
    return video, audio


def ranked_videos(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that can be decoded, the best first."""
    return _ranked(
        [
            stream
            for stream in container.streams.video
            if stream.codec_context is not None  # None if the codec is unknown
            and not stream.disposition & Disposition.attached_pic
        ]
    )


def ranked_audios(container: InputContainer) -> list[AudioStream]:
    """Return the audio streams that can be decoded, the best first."""
    return _ranked([s for s in container.streams.audio if s.codec_context is not None])


def choice_notes(
    container: InputContainer,
    video: VideoStream | None,
    audio: AudioStream | None,
    ranks: TrackRanks,
) -> list[str]:
    """Return a note for each kind of track of which the file has several."""
    notes = []
    if video is not None:
        videos = ranked_videos(container)
        notes.append(_note("video", videos, video, "a single image", ranks.video))
    if audio is not None:
        audios = ranked_audios(container)
        notes.append(_note("audio", audios, audio, "silent", ranks.audio))
    return [note for note in notes if note]


def _ranked(streams: list[Track]) -> list[Track]:
    lengths_s = [float((s.duration or 0) * (s.time_base or 0)) for s in streams]
    longest_s = max(lengths_s, default=0.0)

    def key(index: int) -> tuple[bool, bool, int]:
        default = bool(streams[index].disposition & Disposition.default)
        short = 0 < lengths_s[index] < SHORT_FRACTION * longest_s
        return not default, short, index

    return [streams[index] for index in sorted(range(len(streams)), key=key)]


def _of_rank(streams: list[Track], rank: int) -> Track | None:
    if not streams:
        return None
    if rank >= len(streams):
        msg = f"{len(streams)} tracks in the file, none of rank {rank}"
        raise NoFurtherTrackError(msg)
    return streams[rank]


def _note(
    kind: str, streams: list[Track], chosen: Track, useless: str, rank: int
) -> str:
    """Return which track is used and why; empty if there is only one."""
    if len(streams) < 2:
        return ""
    number = sorted(s.index for s in streams).index(chosen.index) + 1
    defaults = sum(bool(s.disposition & Disposition.default) for s in streams)
    why = ""
    if rank:
        why = f", since the better ranked is {useless}"
    elif 0 < defaults < len(streams):
        why = ", the default"
    return f"{len(streams)} {kind} tracks; number {number} is used{why}"
