"""Link the face detections of a clip to one track, and smooth the track in time.

Nothing here opens a file or runs a detector. Boxes are left, top, right, bottom
in pixels of the displayed frame; x grows to the right, y downwards. Half-open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

STILL_FRACTION = 0.06
"""A face that moves by less than this fraction of its size gets one box for the whole
clip. The value is above the detector's own jitter: medians of 1.6 to 4.4 % of the face
size from frame to frame on talking faces of GRID, MEAD, CREMA-D and RAVDESS."""
SMOOTH_S = 0.25
"""Standard deviation in time of the Gaussian that smooths the path of a moving face."""
JUMP_COST = 2.0
"""Cost of a track that jumps by one face size, in units of a perfect face."""
MISS_COST = 0.5
"""Cost of a track that skips a frame."""
CUT_COST = 1.0
"""Maximum cost of a jump at a cut, in units of a perfect face."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Faces detected in one frame."""

    boxes_px: Float64[np.ndarray, "face 4"]
    """Left, top, right and bottom of each face."""
    scores: Float64[np.ndarray, " face"]
    """Confidence of each face, at most 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """Boxes of one person in all frames of a clip."""

    boxes_px: Float64[np.ndarray, "frame 4"]
    """Left, top, right and bottom in each frame."""
    scores: Float64[np.ndarray, " frame"]
    """Confidence in each frame; NaN if the box is interpolated."""
    shots: Int64[np.ndarray, " frame"]
    """Index of the shot of each frame, ascending from 0."""

    @property
    def found(self) -> Bool[np.ndarray, " frame"]:
        """True for frames in which the face was detected."""
        return np.asarray(~np.isnan(self.scores))


def link_detections(
    frames: Sequence[Detections],
    times_s: Float64[np.ndarray, " frame"],
    shots: Int64[np.ndarray, " frame"] | None = None,
) -> Track | None:
    """Return the track of one person, chosen by size, score and continuity.

    The track is the best path through the frames. Each of its boxes earns its score
    times its fraction of the largest face in the clip. Each jump between boxes and
    each skipped frame has a cost. A jump at a cut costs at most `CUT_COST`. Missing
    boxes are interpolated in time within their shot. A shot without a face gets the
    boxes of its neighbors.

    Args:
        frames: Detections in each frame.
        times_s: Time of each frame.
        shots: Index of the shot of each frame; None if all are of one.

    Returns:
        The track, or None if no frame shows a face.
    """
    if not any(len(f.scores) for f in frames):
        return None
    shots = np.zeros(len(frames), dtype=np.int64) if shots is None else shots
    chosen = _best_path(frames, shots)
    scores = np.array(
        [f.scores[c] if c >= 0 else np.nan for f, c in zip(frames, chosen, strict=True)]
    )
    known = np.array(
        [f.boxes_px[c] for f, c in zip(frames, chosen, strict=True) if c >= 0]
    )
    found = ~np.isnan(scores)
    boxes = interpolate_boxes(times_s, times_s[found], known)
    for shot in np.unique(shots[found]):
        here, at = shots == shot, shots[found] == shot
        boxes[here] = interpolate_boxes(times_s[here], times_s[found][at], known[at])
    return Track(boxes_px=boxes, scores=scores, shots=shots)


def interpolate_boxes(
    times_s: Float64[np.ndarray, " frame"],
    known_s: Float64[np.ndarray, " known"],
    known_px: Float64[np.ndarray, "known 4"],
) -> Float64[np.ndarray, "frame 4"]:
    """Return boxes at some times from the boxes at others; the ends are repeated."""
    return np.stack([np.interp(times_s, known_s, edge) for edge in known_px.T], axis=1)


def _best_path(
    frames: Sequence[Detections], shots: Int64[np.ndarray, " frame"]
) -> Int64[np.ndarray, " path"]:
    """Choose a detection of every frame, or -1, by dynamic programming.

    The state is the frame last chosen and its detection, so that a jump over skipped
    frames costs as much as the person moved.
    """
    counts = [len(f.scores) for f in frames]
    frame = np.repeat(np.arange(len(frames)), counts)
    face = np.concatenate([np.arange(count) for count in counts])
    boxes_px = np.concatenate([f.boxes_px for f in frames])
    sizes = box_size(boxes_px)
    gain = np.concatenate([f.scores for f in frames]) * sizes / sizes.max()
    best = np.zeros(len(frame))
    back = np.full(len(frame), -1)
    for at, now in enumerate(frame):
        best[at] = -MISS_COST * now
        earlier = int(np.searchsorted(frame, now))
        if earlier:
            moved = JUMP_COST * jumps(boxes_px[:earlier], boxes_px[at])
            cut = shots[frame[:earlier]] != shots[now]
            moved = np.where(cut, np.minimum(moved, CUT_COST), moved)
            costs = moved + MISS_COST * (now - frame[:earlier] - 1)
            values = best[:earlier] - costs
            top = int(values.argmax())
            if values[top] > best[at]:
                best[at], back[at] = values[top], top
        best[at] += gain[at]
    ends = best - MISS_COST * (len(frames) - 1 - frame)
    last = int(np.flatnonzero(ends == ends.max())[-1])
    chosen = np.full(len(frames), -1, dtype=np.int64)
    while last >= 0:
        chosen[frame[last]] = face[last]
        last = int(back[last])
    return chosen


def box_size(boxes_px: Float64[np.ndarray, "*face 4"]) -> Float64[np.ndarray, "*face"]:
    """Return the longer side of each box."""
    width, height = (
        boxes_px[..., 2] - boxes_px[..., 0],
        boxes_px[..., 3] - boxes_px[..., 1],
    )
    return np.asarray(np.maximum(width, height))


def jumps(
    before_px: Float64[np.ndarray, "face 4"], now_px: Float64[np.ndarray, "*face 4"]
) -> Float64[np.ndarray, " face"]:
    """Return the distance between two sets of boxes, in sizes of the smaller box."""
    before_size, now_size = box_size(before_px), box_size(now_px)
    moved = np.linalg.norm(box_center(before_px) - box_center(now_px), axis=-1)
    smaller = np.maximum(np.minimum(before_size, now_size), 1e-6)
    return np.asarray((moved + np.abs(before_size - now_size)) / smaller)


def box_center(
    boxes_px: Float64[np.ndarray, "*face 4"],
) -> Float64[np.ndarray, "*face 2"]:
    """Return the x and y of the center of each box."""
    return np.asarray((boxes_px[..., :2] + boxes_px[..., 2:]) / 2)


def smooth_track(
    boxes_px: Float64[np.ndarray, "frame 4"],
    times_s: Float64[np.ndarray, " frame"],
    shots: Int64[np.ndarray, " frame"] | None = None,
) -> Float64[np.ndarray, "frame 4"]:
    """Return square boxes smoothed in time; a still face gets one box per shot.

    The detector's box jitters on a still face. A crop that follows the jitter shows
    movement that is not there. Within each shot the path is filtered with a running
    median of three against outliers, then with a straight line that is fitted around
    each time with Gaussian weights. Below `STILL_FRACTION` it is constant.
    """
    path = np.column_stack([box_center(boxes_px), box_size(boxes_px)])
    shots = np.zeros(len(path), dtype=np.int64) if shots is None else shots
    smooth = np.empty_like(path)
    for shot in np.unique(shots):
        smooth[shots == shot] = _smooth_path(
            path[shots == shot], times_s[shots == shot]
        )
    half = smooth[:, 2:] / 2
    return np.concatenate([smooth[:, :2] - half, smooth[:, :2] + half], axis=1)


def _smooth_path(
    path: Float64[np.ndarray, "frame 3"], times_s: Float64[np.ndarray, " frame"]
) -> Float64[np.ndarray, "frame 3"]:
    """Smooth the centers and sizes of one shot."""
    padded = np.pad(path, ((1, 1), (0, 0)), mode="edge")
    path = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    gap = times_s[None, :] - times_s[:, None]
    weight = np.exp(-0.5 * (gap / SMOOTH_S) ** 2)
    # A weighted mean would lag behind a moving face at the ends, where it is one-sided.
    first = (weight * gap).sum(axis=1, keepdims=True)
    second = (weight * gap**2).sum(axis=1, keepdims=True)
    line = weight * (second - first * gap)
    norm = line.sum(axis=1, keepdims=True)
    usable = norm > 1e-9
    line = np.where(usable, line / np.where(usable, norm, 1.0), np.eye(len(path)))
    smooth = line @ path
    middle = np.median(path, axis=0)
    if np.abs(smooth - middle).max() <= STILL_FRACTION * middle[2]:
        smooth = np.broadcast_to(middle, smooth.shape)
    return np.asarray(smooth)


def no_faces() -> Detections:
    """Return an empty detection."""
    return Detections(boxes_px=np.zeros((0, 4)), scores=np.zeros(0))
