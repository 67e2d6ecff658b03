"""One clip to the arrays of one row of the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from mmder_prep import spectrogram, timeline
from mmder_prep.faces import cropping, tracking
from mmder_prep.faces.search import find_track
from mmder_prep.media.audio_buffer import level
from mmder_prep.media.clip import Clip
from mmder_prep.media.decoder import DecodedClip, read_clip
from mmder_prep.media.picture import CropResizer, VideoPicture
from mmder_store.errors import MediaError
from mmder_store.schema import STATUSES, arrays_of, shape_of
from mmder_store.settings import FRAME_PX, FRAMES_8, FRAMES_16, PrepSettings

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRow:
    """What one clip becomes."""

    arrays: Arrays
    status: str
    reason: str
    facts: Mapping[str, float | int]


def prepare_clip(clip: Clip, settings: PrepSettings, *, device: str) -> ClipRow:
    """Decode, crop and transform one clip.

    A clip that cannot be prepared keeps its row, with a status and the reason.
    """
    arrays = empty_row(settings)
    try:
        take = read_clip(clip, settings)
    except MediaError as error:
        return ClipRow(arrays=arrays, status="failed", reason=str(error), facts={})
    reasons = []
    statuses = {"ok"}
    facts = dict(take.facts)
    arrays |= _audio_arrays(take, settings)
    facts["sound_rms_db"], facts["silence"] = level(take.audio, settings.sample_rate_hz)
    if take.problem:
        reasons.append(take.problem)
    if not len(take.audio):
        statuses.add("no_audio")
    if not len(take.audio) and not take.problem:
        late = "sound_rate_hz" in facts
        reasons.append("no sound in this part" if late else "no sound in the file")
    if settings.modality == "av" and not take.frames:
        statuses.add("no_video")
        if not take.problem:
            reasons.append("no picture in the file")
    elif settings.modality == "av":
        try:
            made, found = _video_arrays(take, clip, settings, device)
        except MediaError as error:  # the crop column does not fit this picture
            arrays = empty_row(settings)
            return ClipRow(
                arrays=arrays, status="failed", reason=str(error), facts=facts
            )
        arrays |= made
        facts |= found
        if settings.face_crop and not found["faces_found"]:
            statuses.add("no_face")
            reasons.append("no face in any frame; the centre is taken")
    if {"no_audio", "no_video"} <= statuses:
        statuses.add("failed")
    if facts["decode_errors"]:
        reasons.append(f"{facts['decode_errors']} damaged packets passed over")
    status = next(s for s in reversed(STATUSES) if s in statuses)
    return ClipRow(arrays=arrays, status=status, reason="; ".join(reasons), facts=facts)


def empty_row(settings: PrepSettings) -> Arrays:
    """Give a row of nothing: zeros, and NaN where a number is unknown."""
    return {
        a.name: np.full(
            shape_of(a, settings), np.nan if a.dtype == "float64" else 0, dtype=a.dtype
        )
        for a in arrays_of(settings)
    }


def _audio_arrays(take: DecodedClip, settings: PrepSettings) -> Arrays:
    """Cut the windows around 16 and around 8 instants, and transform them."""
    arrays: Arrays = {}
    grid = timeline.spectra_grid(take.step_s, settings)
    for count in (FRAMES_16, FRAMES_8):
        every = FRAMES_16 // count
        bounds_s = timeline.windows(take.target_times_s[::every], every * take.step_s)
        arrays[f"window_{count}_s"] = bounds_s
        if not len(take.audio):
            continue
        windows = spectrogram.cut(
            take.audio,
            first_s=take.audio_start_s,
            bounds_s=bounds_s,
            sample_rate_hz=settings.sample_rate_hz,
        )
        stft, mfcc = spectrogram.spectrograms(windows, settings, grid=grid)
        arrays |= {f"stft_{count}": stft, f"mfcc_{count}": mfcc}
    return arrays


def _video_arrays(
    take: DecodedClip, clip: Clip, settings: PrepSettings, device: str
) -> tuple[Arrays, dict[str, int]]:
    """Crop the pictures; also tell in how many the face was looked for and found."""
    region_px = parse_crop(clip.crop, take.frames[0].size_px)
    track, searched = None, 0
    if settings.face_crop:
        track, searched = find_track(
            take.frames, take.target_times_s, region_px, device
        )
    if track is None:
        squares = cropping.center_square(region_px, FRAMES_16)
        scores = np.full(FRAMES_16, np.nan)
    else:
        boxes_px = tracking.smooth_track(track.boxes_px, take.target_times_s)
        squares = cropping.square_boxes(
            boxes_px, margin=settings.face_margin, region_px=region_px
        )
        scores = track.scores
    frames = np.empty((FRAMES_16, FRAME_PX, FRAME_PX, 3), dtype=np.uint8)
    lens: CropResizer | None = None
    shown: VideoPicture | None = None
    for place, (picture, square) in enumerate(zip(take.frames, squares, strict=True)):
        left, top, right, bottom = (int(edge) for edge in square)
        same = lens is not None and lens.rectangle_px == (left, top, right, bottom)
        if lens is None or not same:
            lens = CropResizer((left, top, right, bottom), (FRAME_PX, FRAME_PX))
        repeated = picture is shown and same
        frames[place] = frames[place - 1] if repeated else lens.view(picture)
        shown = picture
    arrays: Arrays = {
        "frames": frames,
        "frame_time_s": take.times_s,
        "face_box_px": squares.astype(np.float32),
        "face_score": scores.astype(np.float32),
    }
    found = int(np.isfinite(scores).sum())
    return arrays, {"faces_found": found, "faces_searched": searched}


def parse_crop(crop: str, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Read the crop column: the part of the displayed picture the person is in.

    Raises:
        MediaError: If it lies outside the picture.
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
        msg = f"crop {crop!r} lies outside the picture of {width} x {height} px"
        raise MediaError(msg)
    return (left, top, right, bottom)


def warm_up(settings: PrepSettings, device: str) -> None:
    """Pay once a process what its first clip would: compiled code, loaded weights."""
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
