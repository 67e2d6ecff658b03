"""Square crops of whole pixels from face boxes or from a region.

Nothing here opens a file or runs a detector.
"""

import numpy as np
from jaxtyping import Float64, Int64

from mmder_prep.faces.tracking import box_center, box_size


def square_boxes(
    boxes_px: Float64[np.ndarray, "frame 4"],
    *,
    margin: float,
    region_px: tuple[int, int, int, int],
) -> Int64[np.ndarray, "frame 4"]:
    """Return squares of whole pixels around boxes, moved into the region if they fit.

    Args:
        boxes_px: Boxes of a face.
        margin: The side of the square is the side of the box times 1 + margin.
        region_px: Region of the person; a square larger than it is centered on it.
    """
    left, top, right, bottom = region_px
    side = np.rint(box_size(boxes_px) * (1 + margin)).astype(np.int64)
    side = np.maximum(side, 2)
    first = np.rint(box_center(boxes_px) - side[:, None] / 2).astype(np.int64)
    low = np.array([left, top])
    high = np.array([right, bottom])
    room = (high - low) - side[:, None]
    inside = np.clip(first, low, np.maximum(low, high - side[:, None]))
    centered = low + np.floor_divide(room, 2)
    first = np.where(room >= 0, inside, centered)
    return np.concatenate([first, first + side[:, None]], axis=1)


def center_square(
    region_px: tuple[int, int, int, int], frames: int
) -> Int64[np.ndarray, "frame 4"]:
    """Return the largest centered square of a region, repeated for every frame."""
    left, top, right, bottom = region_px
    side = min(right - left, bottom - top)
    x = left + (right - left - side) // 2
    y = top + (bottom - top - side) // 2
    return np.tile(np.array([x, y, x + side, y + side], dtype=np.int64), (frames, 1))
