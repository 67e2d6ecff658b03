"""From face boxes to one steady square crop a frame.

Nothing here opens a file or runs a detector. Boxes are left, top, right, bottom
in pixels of the displayed picture; x grows to the right, y downwards. Half-open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

STILL_FRACTION = 0.06
"""A face that stays within this share of its size gets one box for the whole clip:
above the detector's own jumps (medians of 1.6 to 4.4 % of its size from frame to frame
on talking faces of GRID, MEAD, CREMA-D and RAVDESS)."""
SMOOTH_S = 0.25
"""Width of the Gaussian in time that smooths the path of a moving face."""
JUMP_COST = 2.0
"""What it costs the track to jump by one face size, in units of a perfect face."""
MISS_COST = 0.5
"""What it costs the track to pass over a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Faces found in one picture."""

    boxes_px: Float64[np.ndarray, "face 4"]
    scores: Float64[np.ndarray, " face"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One person through the frames of a clip."""

    boxes_px: Float64[np.ndarray, "frame 4"]
    scores: Float64[np.ndarray, " frame"]
    """NaN where the box is interpolated."""

    @property
    def found(self) -> Bool[np.ndarray, " frame"]:
        """Tell in which frames the face was detected."""
        return np.asarray(~np.isnan(self.scores))


def link_detections(
    frames: Sequence[Detections], times_s: Float64[np.ndarray, " frame"]
) -> Track | None:
    """Choose one person by size, score and continuity; fill the boxes in between.

    The best path through the frames: each box on it earns its score times its share
    of the largest face in the clip, each jump between boxes and each frame passed
    over costs. Where the person is missing, boxes are interpolated in time.

    Returns:
        The track, or None where no frame shows a face.
    """
    if not any(len(f.scores) for f in frames):
        return None
    chosen = _best_path(frames)
    scores = np.array(
        [f.scores[c] if c >= 0 else np.nan for f, c in zip(frames, chosen, strict=True)]
    )
    known = np.array(
        [f.boxes_px[c] for f, c in zip(frames, chosen, strict=True) if c >= 0]
    )
    found = ~np.isnan(scores)
    boxes = np.stack(
        [np.interp(times_s, times_s[found], known[:, edge]) for edge in range(4)],
        axis=1,
    )
    return Track(boxes_px=boxes, scores=scores)


def _best_path(frames: Sequence[Detections]) -> Int64[np.ndarray, " frame"]:
    """Pick a detection of every frame, or -1, by dynamic programming.

    The state is the frame last chosen and its detection, so that a jump over missed
    frames still costs what the person moved.
    """
    counts = [len(f.scores) for f in frames]
    frame = np.repeat(np.arange(len(frames)), counts)
    face = np.concatenate([np.arange(count) for count in counts])
    boxes_px = np.concatenate([f.boxes_px for f in frames])
    sizes = _size(boxes_px)
    gain = np.concatenate([f.scores for f in frames]) * sizes / sizes.max()
    best = np.zeros(len(frame))
    back = np.full(len(frame), -1)
    for at, now in enumerate(frame):
        best[at] = -MISS_COST * now
        earlier = int(np.searchsorted(frame, now))
        if earlier:
            costs = JUMP_COST * jumps(boxes_px[:earlier], boxes_px[at]) + MISS_COST * (
                now - frame[:earlier] - 1
            )
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


def _size(boxes_px: Float64[np.ndarray, "*face 4"]) -> Float64[np.ndarray, "*face"]:
    """Give the longer side of each box."""
    wide, high = (
        boxes_px[..., 2] - boxes_px[..., 0],
        boxes_px[..., 3] - boxes_px[..., 1],
    )
    return np.asarray(np.maximum(wide, high))


def jumps(
    before_px: Float64[np.ndarray, "face 4"], now_px: Float64[np.ndarray, "*face 4"]
) -> Float64[np.ndarray, " face"]:
    """Measure how far boxes are from others, in sizes of the smaller of two."""
    before_size, now_size = _size(before_px), _size(now_px)
    moved = np.linalg.norm(_centre(before_px) - _centre(now_px), axis=-1)
    smaller = np.maximum(np.minimum(before_size, now_size), 1e-6)
    return np.asarray((moved + np.abs(before_size - now_size)) / smaller)


def _centre(boxes_px: Float64[np.ndarray, "*face 4"]) -> Float64[np.ndarray, "*face 2"]:
    return np.asarray((boxes_px[..., :2] + boxes_px[..., 2:]) / 2)


def smooth_track(
    boxes_px: Float64[np.ndarray, "frame 4"], times_s: Float64[np.ndarray, " frame"]
) -> Float64[np.ndarray, "frame 4"]:
    """Smooth boxes in time; a face that stays where it is gets one box for all frames.

    The detector's box jumps on a still face, and a crop that jumps with it shows
    movement that is not there. So: a running median of three against outliers, a
    Gaussian in time, and below `STILL_SHARE` no movement at all.
    """
    path = np.column_stack([_centre(boxes_px), _size(boxes_px)])
    padded = np.pad(path, ((1, 1), (0, 0)), mode="edge")
    path = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    gap = times_s[:, None] - times_s[None, :]
    weight = np.exp(-0.5 * (gap / SMOOTH_S) ** 2)
    smooth = weight @ path / weight.sum(axis=1, keepdims=True)
    middle = np.median(path, axis=0)
    if np.abs(smooth - middle).max() <= STILL_FRACTION * middle[2]:
        smooth = np.broadcast_to(middle, smooth.shape)
    half = smooth[:, 2:] / 2
    return np.concatenate([smooth[:, :2] - half, smooth[:, :2] + half], axis=1)


def no_faces() -> Detections:
    """Give what a picture without a face has."""
    return Detections(boxes_px=np.zeros((0, 4)), scores=np.zeros(0))
