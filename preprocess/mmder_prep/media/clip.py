"""TODO."""

from dataclasses import dataclass

from mmder_prep.media.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """The part of a file that is the clip, in seconds from the start of the file."""

    start_s: float | None = None
    stop_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip to prepare."""

    clip_id: str
    source: Source
    audio: Source | None = None
    """The sound's own file, where the media file's is not to be used."""
    audio_start_s: float | None = None
    """When that file starts, on the clock of the media file; with the first picture
    where not said."""
    segment: Segment = Segment()
    crop: str = ""
    """Where the person is: empty, ``left``, ``right``, or four numbers of pixels."""
