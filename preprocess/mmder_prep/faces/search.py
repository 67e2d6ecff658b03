"""Find one person in the frames of a clip: detect in a few frames, refine in all.

The detector is imported by the functions that use it, so that clips without a face
crop never load torch.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from mmder_prep.faces.shots import THUMB_PX, shots_by_content, split_at_jumps
from mmder_prep.faces.tracking import (
    Detections,
    Track,
    interpolate_boxes,
    jumps,
    link_detections,
    no_faces,
)
from mmder_prep.media.decoded_frame import (
    CropResizer,
    DecodedFrame,
    Rectangle,
    reduced_size,
)

FIRST_FRAMES = (5, 10)
"""Indices of the frames, of 16, that are searched first."""
SECOND_FRAMES = (0, 5, 10, 15)
"""Indices of the frames that are searched if the first ones do not show exactly one
face each."""
SETTLED_FRACTION = 0.1
"""Maximum movement of a settled box in the last refinement, as a fraction of its
size."""
FACE_PX = 128
"""Size of a face in the copies used for refinement. The network sees 48 whole pixels of
the square around the box; in copies of 64 its steps would be 1.6 % of a face."""
SIZES = (0.8, 1.0, 1.2)
"""Sizes of the regions refined last, relative to the box. The network's answer depends
on the size of the region. The mean is more stable, and closer to the result at full
resolution."""
ROOM = 0.35
"""Margin around all boxes in those copies, relative to the largest box."""


def find_track(
    frames: Sequence[DecodedFrame],
    times_s: Float64[np.ndarray, " frame"],
    region_px: Rectangle,
    device: str,
) -> tuple[Track | None, int]:
    """Return the track of the person and the number of frames searched.

    The search starts on small copies and continues on larger ones if no face is found.
    Two frames are searched whole, and four if those do not show one face each. From
    then on the box is known well enough for the detector's last network. A frame is
    searched whole as well if its score is low or if its box does not settle. If the
    video cuts, at least one frame of each shot is searched.

    Args:
        frames: The 16 frames of a clip.
        times_s: Time of each frame.
        region_px: Region of the person in the displayed frame.
        device: Torch device of the detector.

    Returns:
        The track, or None; and the number of frames in which a face was searched.
    """
    from mmder_prep.faces.mtcnn import SEARCH_PX

    count = len(frames)
    shots = shots_by_content(_thumbs(frames, region_px))
    middles = [int(np.median(np.flatnonzero(shots == s))) for s in np.unique(shots)]
    first = sorted({*FIRST_FRAMES, *(middles if len(middles) > 1 else ())})
    for longer_px, min_face_px in SEARCH_PX:
        search = FaceSearch(frames, region_px, longer_px, min_face_px, device)
        search.detect(first)
        if any(len(search.detections[i].scores) != 1 for i in first):
            search.detect(SECOND_FRAMES)
        track = link_detections(search.detections, times_s, shots)
        if track is None:
            search.detect(range(2, count, 2))
            track = link_detections(search.detections, times_s, shots)
        if track is not None:
            search.refine(track, times_s)
            return _relink(search.detections, times_s, shots), count
        if longer_px >= max(frames[0].size_px):
            break
    return None, len(search.searched)


def _relink(
    detections: Sequence[Detections],
    times_s: Float64[np.ndarray, " frame"],
    shots: Int64[np.ndarray, " frame"],
) -> Track | None:
    """Link the final detections, again if the face jumps between two of them."""
    track = link_detections(detections, times_s, shots)
    if track is None:
        return None
    split = split_at_jumps(track.boxes_px, track.found, shots)
    if (split == shots).all():
        return track
    return link_detections(detections, times_s, split)


def _thumbs(
    frames: Sequence[DecodedFrame], region_px: Rectangle
) -> list[UInt8[np.ndarray, "height width rgb"]]:
    """Return small copies of the region of the person in every frame."""
    left, top, right, bottom = region_px
    size = reduced_size((right - left, bottom - top), THUMB_PX)
    resizer = CropResizer(region_px, size)
    return [resizer.view(frame) for frame in frames]


class FaceSearch:
    """Faces detected so far, in pixels of the displayed frames."""

    def __init__(
        self,
        frames: Sequence[DecodedFrame],
        region_px: Rectangle,
        longer_px: int,
        min_face_px: int,
        device: str,
    ) -> None:
        """Create a search at one resolution.

        Args:
            frames: Frames of a clip.
            region_px: Region of the person in the displayed frame.
            longer_px: Longer side of the reduced frames.
            min_face_px: Size of the smallest face to detect in the reduced frames.
            device: Torch device of the detector.
        """
        left, top, right, bottom = region_px
        scale = min(1.0, longer_px / max(frames[0].size_px))
        size = round((right - left) * scale), round((bottom - top) * scale)
        self.frames = frames
        self.resizer = CropResizer(region_px, (max(1, size[0]), max(1, size[1])))
        self.min_face_px, self.device = min_face_px, device
        self.detections = [no_faces() for _ in frames]
        self.searched: set[int] = set()
        """Indices of the frames that were searched whole."""

    def detect(self, indices: Sequence[int]) -> None:
        """Detect faces in whole frames, all of them in one call.

        Args:
            indices: Frames to search; those already searched are skipped.
        """
        from mmder_prep.faces.mtcnn import detect

        indices = [i for i in indices if i not in self.searched]
        if not indices:
            return
        self.searched.update(indices)
        views = [self.resizer.view(self.frames[i]) for i in indices]
        detected = detect(views, min_face_px=self.min_face_px, device=self.device)
        for index, faces in zip(indices, detected, strict=True):
            self.detections[index] = Detections(
                boxes_px=_to_frame(self.resizer, faces.boxes_px), scores=faces.scores
            )

    def refine(self, track: Track, times_s: Float64[np.ndarray, " frame"]) -> None:
        """Refine the boxes of a track in all frames until the detector settles."""
        from mmder_prep.faces.mtcnn import THIRD, refine_boxes

        resizer = _around(track)
        views = [resizer.view(frame) for frame in self.frames]
        known = np.flatnonzero(track.found)
        # A box that was found in a small copy first settles in its own frame. The
        # refinement of all frames then starts from there.
        refined, _ = refine_boxes(
            [views[index] for index in known],
            _to_view(resizer, track.boxes_px[known]),
            sizes=(1.0,),
            device=self.device,
        )
        start = np.asarray(_to_view(resizer, track.boxes_px))
        for shot in np.unique(track.shots[known]):
            here, at = track.shots == shot, track.shots[known] == shot
            start[here] = interpolate_boxes(
                times_s[here], times_s[known][at], refined[at]
            )
        refined, scores = refine_boxes(views, start, sizes=SIZES, device=self.device)
        settled = (scores >= THIRD) & (jumps(start, refined) <= SETTLED_FRACTION)
        boxes_px = _to_frame(resizer, refined)
        for index in np.flatnonzero(settled):
            self.detections[index] = Detections(
                boxes_px=boxes_px[index : index + 1], scores=scores[index : index + 1]
            )
        self.detect([int(index) for index in np.flatnonzero(~settled)])


def _around(track: Track) -> CropResizer:
    """Return a resizer that shows every box of a track, with the face reduced."""
    low, high = track.boxes_px[:, :2], track.boxes_px[:, 2:]
    size_px = (high - low).max(axis=1)
    room_px = ROOM * size_px.max()
    left, top = (int(edge) for edge in np.floor(low.min(axis=0) - room_px))
    right, bottom = (int(edge) for edge in np.ceil(high.max(axis=0) + room_px))
    scale = min(1.0, FACE_PX / float(np.median(size_px)))
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    return CropResizer((left, top, right, bottom), size)


def _frame_px_per_px(resizer: CropResizer) -> Float64[np.ndarray, " edge"]:
    left, top, right, bottom = resizer.rectangle_px
    width, height = resizer.size_px
    return np.array([(right - left) / width, (bottom - top) / height] * 2)


def _to_frame(
    resizer: CropResizer, boxes: Float64[np.ndarray, "face 4"]
) -> Float64[np.ndarray, "face 4"]:
    """Return boxes in a resizer's view in pixels of the displayed frame."""
    origin_px = np.array(resizer.rectangle_px[:2] * 2)
    return np.asarray(boxes * _frame_px_per_px(resizer) + origin_px)


def _to_view(
    resizer: CropResizer, boxes_px: Float64[np.ndarray, "face 4"]
) -> Float64[np.ndarray, "face 4"]:
    """Return boxes in pixels of the displayed frame in pixels of a resizer's view."""
    origin_px = np.array(resizer.rectangle_px[:2] * 2)
    return np.asarray((boxes_px - origin_px) / _frame_px_per_px(resizer))
