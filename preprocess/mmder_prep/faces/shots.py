"""Shots of a clip: frames between two cuts. A face is followed within a shot only.

A cut changes the frame as a whole, or it moves the face by more than its size between
two neighboring frames and leaves it there.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from mmder_prep.faces.tracking import jumps

THUMB_PX = 24
"""Longer side of the copies in which cuts are searched."""
CUT_CORRELATION = 0.5
"""Correlation of two neighboring copies below which there is a cut.

Measured on 327 real clips at the default step. Cuts were inspected by eye, except in
three of the four clips of GRID below:

- 316 clips of one scene (302 of GRID, 14 of other sources): all 4,740 pairs of
  neighboring frames have more than 0.92, so no threshold up to that finds a cut.
- Three clips with real cuts, fades and titles: at most 0.21 across each of the five.
- Four clips of GRID begin with damaged frames, which become shots of their own.
- One clip of a head that moves across half of the frame: four of 13 pairs without a cut
  have less than 0.5, six less than 0.6, nine less than 0.7. These shots are too short,
  so their boxes are smoothed less.
- Frames of two different sources, as across a cut: 4 of 303 pairs have more than 0.5,
  none more than 0.6. Two speakers on the same set: 18 of 22 have more than 0.5, 8 more
  than 0.7. Such a cut is found if the face jumps (`CUT_JUMP`). If it does not jump, one
  smoothed box fits both faces."""
FLAT_LEVELS = 2.0
"""Standard deviation, of 255 levels, below which a copy is flat."""
CUT_JUMP = 1.0
"""Jump of a face between neighboring frames, in face sizes, that is a cut."""
SETTLED_FRAMES = 2
"""Number of frames that a face must stay after a jump, or one of them is an outlier."""


def shots_by_content(
    thumbs: Sequence[UInt8[np.ndarray, "height width rgb"]],
) -> Int64[np.ndarray, " frame"]:
    """Return the index of the shot of every frame, from small copies of the frames."""
    gray = np.array([t.astype(np.float64).mean(axis=2).ravel() for t in thumbs])
    centered = gray - gray.mean(axis=1, keepdims=True)
    levels = np.sqrt(np.square(centered).mean(axis=1))
    products = (centered[1:] * centered[:-1]).mean(axis=1)
    flat = levels < FLAT_LEVELS
    scale = np.maximum(levels[1:] * levels[:-1], FLAT_LEVELS**2)
    cut = (products / scale < CUT_CORRELATION) & ~(flat[1:] & flat[:-1])
    return _number(cut)


def split_at_jumps(
    boxes_px: Float64[np.ndarray, "frame 4"],
    found: Bool[np.ndarray, " frame"],
    shots: Int64[np.ndarray, " frame"],
) -> Int64[np.ndarray, " frame"]:
    """Return shots that also end where the face jumps and stays.

    Args:
        boxes_px: Box of the face in every frame.
        found: True for frames in which the face was detected.
        shots: Index of the shot of every frame.
    """
    cut = np.diff(shots) > 0
    for index in np.flatnonzero(found[1:] & found[:-1] & ~cut):
        before = _settled(boxes_px, found, shots, range(index, index - 3, -1))
        after = _settled(boxes_px, found, shots, range(index + 1, index + 4))
        if before is None or after is None:
            continue
        moved = jumps(boxes_px[index : index + 1], boxes_px[index + 1])
        stays = jumps(before[None], after)
        cut[index] = min(moved[0], stays[0]) > CUT_JUMP
    return _number(cut)


def cut_note(
    shots: Int64[np.ndarray, " frame"],
    found: Bool[np.ndarray, " frame"],
    times_s: Float64[np.ndarray, " frame"],
) -> str:
    """Return a note on the cuts, and on the shots without a face; empty without cut."""
    starts = np.flatnonzero(np.diff(shots, prepend=shots[0]) > 0)
    if not len(starts):
        return ""
    at = ", ".join(f"{times_s[start]:.2f}" for start in starts)
    note = f"the video cuts at {at} s"
    empty = [s for s in range(shots[-1] + 1) if not found[shots == s].any()]
    if empty:
        frames = int(np.isin(shots, empty).sum())
        note += f"; no face in {frames} frames of {len(empty)} shots"
    return note


def _number(cut: Bool[np.ndarray, " cut"]) -> Int64[np.ndarray, " frame"]:
    return np.concatenate([[0], np.cumsum(cut)]).astype(np.int64)


def _settled(
    boxes_px: Float64[np.ndarray, "frame 4"],
    found: Bool[np.ndarray, " frame"],
    shots: Int64[np.ndarray, " frame"],
    indices: range,
) -> Float64[np.ndarray, " edge"] | None:
    """Return the median of the boxes on one side of a jump, None if it is an outlier.

    Boxes far from the first are ignored.
    """
    shot = shots[indices[0]]
    usable = [
        i for i in indices if 0 <= i < len(found) and found[i] and shots[i] == shot
    ]
    boxes = boxes_px[usable]
    near = boxes[jumps(boxes, boxes[0]) <= CUT_JUMP]
    return np.median(near, axis=0) if len(near) >= SETTLED_FRAMES else None
