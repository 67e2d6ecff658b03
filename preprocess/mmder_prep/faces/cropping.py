"""TODO."""

import numpy as np
from jaxtyping import Float64, Int64

from mmder_prep.faces.tracking import _centre, _size


def square_boxes(
    boxes_px: Float64[np.ndarray, "frame 4"],
    *,
    margin: float,
    region_px: tuple[int, int, int, int],
) -> Int64[np.ndarray, "frame 4"]:
    """Widen boxes to squares of whole pixels, moved into the region where they fit.

    Args:
        boxes_px: Square boxes of a face.
        margin: Side of the result: side of the box times 1 + margin.
        region_px: Where the person may be; a larger crop is centred on it.
    """
    left, top, right, bottom = region_px
    side = np.rint(_size(boxes_px) * (1 + margin)).astype(np.int64)
    side = np.maximum(side, 2)
    first = np.rint(_centre(boxes_px) - side[:, None] / 2).astype(np.int64)
    low = np.array([left, top])
    high = np.array([right, bottom])
    room = (high - low) - side[:, None]
    inside = np.clip(first, low, np.maximum(low, high - side[:, None]))
    centred = low + np.floor_divide(room, 2)
    first = np.where(room >= 0, inside, centred)
    return np.concatenate([first, first + side[:, None]], axis=1)


def center_square(
    region_px: tuple[int, int, int, int], frames: int
) -> Int64[np.ndarray, "frame 4"]:
    """Give the largest centred square of a region, once a frame."""
    left, top, right, bottom = region_px
    side = min(right - left, bottom - top)
    x = left + (right - left - side) // 2
    y = top + (bottom - top - side) // 2
    return np.tile(np.array([x, y, x + side, y + side], dtype=np.int64), (frames, 1))
