"""Face detection, tracking and cropping.

The detector, `faces.mtcnn`, is not imported here: it needs torch.
"""

from mmder_prep.faces.cropping import center_square, square_boxes
from mmder_prep.faces.search import FaceSearch, find_track
from mmder_prep.faces.tracking import (
    Detections,
    Track,
    link_detections,
    no_faces,
    smooth_track,
)

__all__ = [
    "Detections",
    "FaceSearch",
    "Track",
    "center_square",
    "find_track",
    "link_detections",
    "no_faces",
    "smooth_track",
    "square_boxes",
]
