"""Preparation of one clip: decode it, crop the face, compute the spectrograms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from mmder_prep import spectrogram, timeline
from mmder_prep.faces import cropping, tracking
from mmder_prep.faces.search import find_track
from mmder_prep.faces.shots import cut_note
from mmder_prep.media.audio_buffer import clip_audio, level_db, silent_fraction
from mmder_prep.media.clip import Clip
from mmder_prep.media.decoded_frame import CropResizer, DecodedFrame
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.types import DecodedClip
from mmder_store.errors import MediaError
from mmder_store.schema import STATUSES, arrays_of, shape_of
from mmder_store.settings import FRAME_PX, FRAMES_16, PrepSettings

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
"""Arrays of one clip, by the names of the store's schema."""
MISSING_AUDIO_S = 0.25
"""Duration without audio that is noted. Codecs and recorders end the audio of many
sound clips up to a block or a frame before the video."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRow:
    """A prepared clip: one row of the store."""

    arrays: Arrays
    status: str
    reason: str
    """Reason of the status, or a description of what was unusual; may be empty."""
    facts: Mapping[str, float | int]
    """Values of the numeric columns of the store."""


def prepare_clip(clip: Clip, settings: PrepSettings, *, device: str) -> ClipRow:
    """Decode, crop and transform one clip.

    A clip that cannot be prepared becomes a row with a status and a reason; no
    MediaError is raised.

    Args:
        clip: The clip.
        settings: Preprocessing settings.
        device: Torch device of face detection.
    """
    try:
        decoded = read_clip(clip, settings)
    except MediaError as error:
        return ClipRow(
            arrays=empty_row(settings), status="failed", reason=str(error), facts={}
        )
    return prepare_decoded(decoded, clip, settings, device=device)


def prepare_decoded(
    decoded: DecodedClip, clip: Clip, settings: PrepSettings, *, device: str
) -> ClipRow:
    """Crop and transform a decoded clip; see `prepare_clip`."""
    arrays = empty_row(settings)
    reasons = []
    statuses = {"ok"}
    facts = dict(decoded.facts)
    arrays |= _audio_arrays(decoded, settings)
    facts["sound_rms_db"] = level_db(decoded.audio)
    facts["silence"], missing = _silence(decoded, settings.sample_rate_hz)
    if decoded.problem:
        reasons.append(decoded.problem)
    reasons += [*decoded.notes, *missing]
    if not len(decoded.audio):
        statuses.add("no_audio")
    if not len(decoded.audio) and not decoded.problem:
        reasons.append(
            "no audio in this part"
            if "sound_rate_hz" in facts
            else "no audio in the file"
        )
    if settings.modality == "av" and not decoded.frames:
        statuses.add("no_video")
        if not decoded.problem:
            reasons.append("no video in the file")
    elif settings.modality == "av":
        try:
            video_arrays, counts, cut = _video_arrays(decoded, clip, settings, device)
        except MediaError as error:  # the crop column does not fit this video
            arrays = empty_row(settings)
            return ClipRow(
                arrays=arrays, status="failed", reason=str(error), facts=facts
            )
        arrays |= video_arrays
        facts |= counts
        reasons += [cut] if cut else []
        if settings.face_crop and not counts["faces_found"]:
            statuses.add("no_face")
            reasons.append("no face in any frame; the center is cropped")
    if {"no_audio", "no_video"} <= statuses:
        statuses.add("failed")
    if facts["decode_errors"]:
        reasons.append(f"{facts['decode_errors']} damaged packets skipped")
    status = next(s for s in reversed(STATUSES) if s in statuses)
    return ClipRow(arrays=arrays, status=status, reason="; ".join(reasons), facts=facts)


def _silence(decoded: DecodedClip, rate_hz: int) -> tuple[float, list[str]]:
    """Return the silent fraction of the clip, and a note if audio is missing.

    Time without audio is silent, also after the end of the audio.
    """
    if not len(decoded.audio):
        return np.nan, []
    start_s, end_s = decoded.facts["start_s"], decoded.schedule.span_s[1]
    stop_s = decoded.facts["stop_s"]
    if np.isfinite(stop_s):
        end_s = min(end_s, stop_s)
    audio, present_s = clip_audio(
        decoded.audio,
        rate_hz,
        first_s=decoded.audio_start_s,
        bounds_s=(start_s, end_s),
    )
    duration_s = len(audio) / rate_hz
    notes = []
    if duration_s - present_s > MISSING_AUDIO_S:
        notes = [f"audio for {present_s:.2f} of the clip's {duration_s:.2f} s"]
    return silent_fraction(audio, rate_hz), notes


def empty_row(settings: PrepSettings) -> Arrays:
    """Return a row without data: zeros, and NaN for times in float64."""
    return {
        a.name: np.full(
            shape_of(a, settings), np.nan if a.dtype == "float64" else 0, dtype=a.dtype
        )
        for a in arrays_of(settings)
    }


def _audio_arrays(decoded: DecodedClip, settings: PrepSettings) -> Arrays:
    """Compute the spectrograms of the windows around the 16 and the 8 frame times."""
    arrays: Arrays = {}
    grid = timeline.spectra_grid(decoded.schedule.step_s, settings)
    for count, bounds_s in decoded.schedule.window_bounds_s.items():
        arrays[f"window_{count}_s"] = bounds_s
        if not len(decoded.audio):
            continue
        windows = spectrogram.cut(
            decoded.audio,
            first_s=decoded.audio_start_s,
            bounds_s=bounds_s,
            sample_rate_hz=settings.sample_rate_hz,
        )
        stft, mfcc = spectrogram.spectrograms(windows, settings, grid=grid)
        arrays |= {f"stft_{count}": stft, f"mfcc_{count}": mfcc}
    return arrays


def _video_arrays(
    decoded: DecodedClip, clip: Clip, settings: PrepSettings, device: str
) -> tuple[Arrays, dict[str, int], str]:
    """Crop the frames; also count those in which a face was searched and found.

    Returns:
        The arrays, the counts, and a note on cuts, which may be empty.
    """
    region_px = parse_crop(clip.crop, decoded.frames[0].size_px)
    track, searched = None, 0
    if settings.face_crop:
        track, searched = find_track(
            decoded.frames, decoded.schedule.target_times_s, region_px, device
        )
    if track is None:
        squares = cropping.center_square(region_px, FRAMES_16)
        scores, note = np.full(FRAMES_16, np.nan), ""
    else:
        boxes_px = tracking.smooth_track(
            track.boxes_px, decoded.schedule.target_times_s, track.shots
        )
        squares = cropping.square_boxes(
            boxes_px, margin=settings.face_margin, region_px=region_px
        )
        scores = track.scores
        note = cut_note(track.shots, track.found, decoded.times_s)
    crops = np.empty((FRAMES_16, FRAME_PX, FRAME_PX, 3), dtype=np.uint8)
    resizer: CropResizer | None = None
    previous: DecodedFrame | None = None
    for index, (frame, square) in enumerate(zip(decoded.frames, squares, strict=True)):
        left, top, right, bottom = (int(edge) for edge in square)
        rectangle_px = (left, top, right, bottom)
        same = resizer is not None and resizer.rectangle_px == rectangle_px
        if resizer is None or not same:
            resizer = CropResizer(rectangle_px, (FRAME_PX, FRAME_PX))
        repeated = frame is previous and same
        crops[index] = crops[index - 1] if repeated else resizer.view(frame)
        previous = frame
    arrays: Arrays = {
        "frames": crops,
        "frame_time_s": decoded.times_s,
        "face_box_px": squares.astype(np.float32),
        "face_score": scores.astype(np.float32),
    }
    detected = int(np.isfinite(scores).sum())
    return arrays, {"faces_found": detected, "faces_searched": searched}, note


def parse_crop(crop: str, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the rectangle of the crop column: left, top, right, bottom in pixels.

    Args:
        crop: `left` or `right` half, four numbers, or empty for the whole frame.
        size_px: Width and height of the displayed frame.

    Raises:
        MediaError: If the rectangle is empty or not inside the frame.
    """
    width, height = size_px
    if crop in ("left", "right"):
        half = width // 2
        return (
            (0, 0, half, height) if crop == "left" else (width - half, 0, width, height)
        )
    if not crop:
        return (0, 0, width, height)
    left, top, right, bottom = (int(float(v)) for v in crop.split())
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        msg = f"crop {crop!r} is outside the frame of {width} x {height} px"
        raise MediaError(msg)
    return (left, top, right, bottom)


def warm_up(settings: PrepSettings, device: str) -> None:
    """Warm up a worker: compile code and load weights before its first clip."""
    cv2.setNumThreads(1)
    windows: Float32[np.ndarray, "window sample"] = np.zeros(
        (1, 3200), dtype=np.float32
    )
    spectrogram.spectrograms(windows, settings, grid=(settings.hop_samples, 1))
    if settings.modality == "av" and settings.face_crop:
        import torch

        from mmder_prep.faces.mtcnn import detect

        torch.set_num_threads(1)
        detect([np.zeros((112, 200, 3), dtype=np.uint8)], min_face_px=24, device=device)
