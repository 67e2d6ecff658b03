"""One clip to the arrays of one row of the store.

The detector is imported where it is used: sound alone, and pictures that are not
cropped to a face, never wait for torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from mmder_prep import faces, spectrogram, timeline
from mmder_prep.media import Take, read_clip
from mmder_prep.picture import Picture
from mmder_prep.plan import Clip
from mmder_prep.sound import level
from mmder_store.errors import MediaError
from mmder_store.schema import STATUSES, arrays_of, shape_of
from mmder_store.settings import FRAME_PX, FRAMES_8, FRAMES_16, PrepSettings

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one clip becomes."""

    arrays: Arrays
    status: str
    reason: str
    facts: Mapping[str, float | int]


def prepare(clip: Clip, settings: PrepSettings, *, device: str) -> Row:
    """Decode, crop and transform one clip.

    A clip that cannot be prepared keeps its row, with a status and the reason.
    """
    arrays = blank(settings)
    try:
        take = read_clip(clip, settings)
    except MediaError as error:
        return Row(arrays=arrays, status="failed", reason=str(error), facts={})
    reasons = []
    statuses = {"ok"}
    facts = dict(take.facts)
    arrays |= _sound_arrays(take, settings)
    facts["sound_rms_db"], facts["silence"] = level(take.sound, settings.sample_rate_hz)
    if take.problem:
        reasons.append(take.problem)
    if not len(take.sound):
        statuses.add("no_audio")
    if not len(take.sound) and not take.problem:
        late = "sound_rate_hz" in facts
        reasons.append("no sound in this part" if late else "no sound in the file")
    if settings.modality == "av" and not take.pictures:
        statuses.add("no_video")
        if not take.problem:
            reasons.append("no picture in the file")
    elif settings.modality == "av":
        try:
            made, found = _picture_arrays(take, clip, settings, device)
        except MediaError as error:  # the crop column does not fit this picture
            arrays = blank(settings)
            return Row(arrays=arrays, status="failed", reason=str(error), facts=facts)
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
    return Row(arrays=arrays, status=status, reason="; ".join(reasons), facts=facts)


def blank(settings: PrepSettings) -> Arrays:
    """Give a row of nothing: zeros, and NaN where a number is unknown."""
    return {
        a.name: np.full(
            shape_of(a, settings), np.nan if a.dtype == "float64" else 0, dtype=a.dtype
        )
        for a in arrays_of(settings)
    }


def _sound_arrays(take: Take, settings: PrepSettings) -> Arrays:
    """Cut the windows around 16 and around 8 instants, and transform them."""
    arrays: Arrays = {}
    grid = timeline.spectra_grid(take.step_s, settings)
    for count in (FRAMES_16, FRAMES_8):
        every = FRAMES_16 // count
        bounds_s = timeline.windows(take.wanted_s[::every], every * take.step_s)
        arrays[f"window_{count}_s"] = bounds_s
        if not len(take.sound):
            continue
        windows = spectrogram.cut(
            take.sound,
            first_s=take.sound_first_s,
            bounds_s=bounds_s,
            sample_rate_hz=settings.sample_rate_hz,
        )
        stft, mfcc = spectrogram.spectrograms(windows, settings, grid=grid)
        arrays |= {f"stft_{count}": stft, f"mfcc_{count}": mfcc}
    return arrays


def _picture_arrays(
    take: Take, clip: Clip, settings: PrepSettings, device: str
) -> tuple[Arrays, dict[str, int]]:
    """Crop the pictures; also tell in how many the face was looked for and found."""
    region_px = region(clip.crop, take.pictures[0].size_px)
    track, searched = None, 0
    if settings.face_crop:
        track, searched = _track(take, region_px, device)
    if track is None:
        squares = faces.centre_square(region_px, FRAMES_16)
        scores = np.full(FRAMES_16, np.nan)
    else:
        boxes_px = faces.steady(track.boxes_px, take.wanted_s)
        squares = faces.square(
            boxes_px, margin=settings.face_margin, region_px=region_px
        )
        scores = track.scores
    frames = np.empty((FRAMES_16, FRAME_PX, FRAME_PX, 3), dtype=np.uint8)
    shown: Picture | None = None
    for place, picture in enumerate(take.pictures):
        if picture is shown and (squares[place] == squares[place - 1]).all():
            frames[place] = frames[place - 1]
            continue
        if picture is not shown:
            rgb = picture.rgb()
        shown = picture
        frames[place] = crop(rgb, squares[place])
    arrays: Arrays = {
        "frames": frames,
        "frame_time_s": take.times_s,
        "face_box_px": squares.astype(np.float32),
        "face_score": scores.astype(np.float32),
    }
    found = int(np.isfinite(scores).sum())
    return arrays, {"faces_found": found, "faces_searched": searched}


def _track(
    take: Take, region_px: tuple[int, int, int, int], device: str
) -> tuple[faces.Track | None, int]:
    """Find the person, on small copies first and on larger ones where none is seen.

    Every second frame is searched, and those between them where the face moves.

    Returns:
        The track, or None; and the number of frames searched.
    """
    from mmder_prep.detect import SEARCH_PX

    count = len(take.pictures)
    searched: list[int] = []
    for longer_px, min_face_px in SEARCH_PX:
        view = _Search(take.pictures, region_px, longer_px, min_face_px, device)
        searched = sorted({*range(0, count, 2), count - 1})
        view.look(searched)
        track = faces.follow(view.found, take.wanted_s)
        if track is not None and (more := faces.restless(track, searched)):
            view.look(more)
            searched = sorted({*searched, *more})
            track = faces.follow(view.found, take.wanted_s)
        if track is not None or longer_px >= max(take.pictures[0].size_px):
            return track, len(searched)
    return None, len(searched)


class _Search:
    """Faces in reduced copies of pictures, in pixels of the originals."""

    def __init__(
        self,
        pictures: list[Picture],
        region_px: tuple[int, int, int, int],
        longer_px: int,
        min_face_px: int,
        device: str,
    ) -> None:
        self.pictures, self.longer_px = pictures, longer_px
        self.min_face_px, self.device = min_face_px, device
        self.scale = min(1.0, longer_px / max(pictures[0].size_px))
        self.view = [round(edge * self.scale) for edge in region_px]
        self.corner_px = np.array([*region_px[:2], *region_px[:2]])
        self.found = [faces.no_faces() for _ in pictures]

    def look(self, places: list[int]) -> None:
        """Search some of the pictures, all in one call."""
        from mmder_prep.detect import detect

        left, top, right, bottom = self.view
        copies = [
            self.pictures[p].rgb(self.longer_px)[top:bottom, left:right] for p in places
        ]
        # Where the size changes in the middle of a stream, only the first size counts.
        same = [
            p for p, c in zip(places, copies, strict=True) if c.shape == copies[0].shape
        ]
        batch = [c for c in copies if c.shape == copies[0].shape]
        made = detect(batch, min_face_px=self.min_face_px, device=self.device)
        for place, faces_seen in zip(same, made, strict=True):
            self.found[place] = faces.Detections(
                boxes_px=faces_seen.boxes_px / self.scale + self.corner_px,
                scores=faces_seen.scores,
            )


def region(crop: str, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
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


def crop(
    rgb: UInt8[np.ndarray, "height width rgb"], square_px: Int64[np.ndarray, " 4"]
) -> UInt8[np.ndarray, "y x rgb"]:
    """Cut a square out of a picture and bring it to the store's size.

    Parts outside the picture are black. Area interpolation, so that nothing aliases.
    """
    left, top, right, bottom = (int(v) for v in square_px)
    height, width = rgb.shape[:2]
    inside = rgb[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if inside.shape[0] != bottom - top or inside.shape[1] != right - left:
        inside = np.pad(
            inside,
            (
                (max(0, -top), max(0, bottom - height)),
                (max(0, -left), max(0, right - width)),
                (0, 0),
            ),
        )
    sized = cv2.resize(inside, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(sized, dtype=np.uint8)


def warm_up(settings: PrepSettings, device: str) -> None:
    """Pay once a process what its first clip would: compiled code, loaded weights."""
    cv2.setNumThreads(1)
    windows: Float32[np.ndarray, "window sample"] = np.zeros(
        (1, 3200), dtype=np.float32
    )
    spectrogram.spectrograms(windows, settings, grid=(settings.hop_samples, 1))
    if settings.modality == "av" and settings.face_crop:
        import torch

        from mmder_prep.detect import detect

        torch.set_num_threads(1)
        detect([np.zeros((180, 320, 3), dtype=np.uint8)], min_face_px=24, device=device)
