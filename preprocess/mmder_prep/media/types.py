"""Input and output of the decoder."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from mmder_prep.media.clip import Segment
from mmder_prep.media.decoded_frame import DecodedFrame
from mmder_prep.media.source import Source
from mmder_prep.media.stream_choice import BEST, TrackRanks
from mmder_prep.timeline import ClipSchedule
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedClip:
    """Frames and audio of one clip."""

    schedule: ClipSchedule
    """Target times of the frames, and the audio windows around them."""
    frames: list[DecodedFrame]
    """One frame per target time; empty if the file has no video."""
    times_s: Float64[np.ndarray, " frame"]
    """Presentation time of each frame."""
    audio: Float32[np.ndarray, " time"]
    """One channel at the sample rate of the settings; empty if there is no audio."""
    audio_start_s: float
    """Time of the first audio sample."""
    facts: dict[str, float | int]
    """Values of the store's columns."""
    notes: tuple[str, ...] = ()
    """Unusual properties, repairs and choices; part of the reason of the clip."""
    problem: str = ""
    """Reason why one of two files could not be used, if video and audio are in
    separate files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedWindow:
    """Frames and audio of one window of a long recording."""

    start_s: float
    """Start on the clock of the file."""
    stop_s: float
    """End of the window, also if the recording ends earlier."""
    end_s: float
    """End of the recording if it is in the window, else that of the window."""
    decoded: DecodedClip | None
    """Frames and audio. None if the window has neither."""
    problem: str = ""
    """Reason if there is no decoded clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeRequest:
    """Request to decode one file."""

    source: Source
    """The media file."""
    segment: Segment
    """Part of the clip's clock to decode."""
    settings: PrepSettings
    """Sample rate and step of the result."""
    offset_s: float = 0.0
    """Time on the clip's clock at which the file starts."""
    want_video: bool = True
    """True if video is decoded."""
    want_audio: bool = True
    """True if audio is decoded."""
    ranks: TrackRanks = BEST
    """Tracks to use if there are several."""
    schedule: ClipSchedule | None = None
    """Schedule of the video that the audio belongs to, if it is already known."""
