"""Description of one clip to prepare: its files, its segment and its crop."""

from dataclasses import dataclass

from mmder_prep.media.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """The part of a file that is the clip, in seconds from the start of the file."""

    start_s: float | None = None
    """First target time of the clip; None for the first frame of the file."""
    stop_s: float | None = None
    """End of the clip; None for the end of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip to prepare."""

    clip_id: str
    """Identifier, unique within a store."""
    source: Source
    """The media file; its audio track is used unless `audio` is set."""
    audio: Source | None = None
    """Separate audio file, used instead of the audio track of the media file."""
    audio_start_s: float | None = None
    """Time on the clock of the media file at which the audio file starts; None if it
    starts with the first frame."""
    segment: Segment = Segment()
    """The part of the media file to use."""
    crop: str = ""
    """Position of the person: empty, ``left``, ``right``, or four pixel numbers."""
