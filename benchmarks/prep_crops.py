"""Quality of the face crops, compared with face detection on every full-size frame.

Needs real clips in the folder MMDER_REAL_CLIPS, one subfolder per corpus. For each
corpus it reports three distances: from mmder's boxes to those that MTCNN finds with its
own settings in full-size frames; between full-size boxes of consecutive frames; and
between the crops that follow from the two kinds of boxes. A distance is the mean over
the four edges, as a fraction of the face size.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmder_prep.faces import cropping, tracking
from mmder_prep.faces.search import find_track
from mmder_prep.media.clip import Clip
from mmder_prep.media.decoded_frame import DecodedFrame
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.source import Source
from mmder_store.settings import PrepSettings
from record import Figure, main

CORPORA = ("grid", "mead", "cremad", "ravdess")
SETTINGS = PrepSettings(step_frames=None)
MIN_FACE_PX = 40
"""Smallest face. Smaller ones are not of talking heads, and searching them is slow."""


def measure(quick: bool) -> list[Figure]:
    """Compare every clip of each corpus, or one clip of each in a quick run."""
    root = Path(os.environ.get("MMDER_REAL_CLIPS", ""))
    if not os.environ.get("MMDER_REAL_CLIPS"):
        sys.exit(
            "MMDER_REAL_CLIPS is not set: set it to a folder of real clips, one "
            "subfolder per corpus"
        )
    figures = []
    for corpus in CORPORA:
        clips = sorted(p for p in (root / corpus).rglob("*.*") if p.is_file())
        results = [compare(path) for path in clips[: 1 if quick else None]]
        if not results:
            continue
        boxes, jumps, crops, lost = map(np.concatenate, zip(*results, strict=True))
        figures += [
            median_figure(f"{corpus}: boxes from full-size ones", boxes, goal=2.0),
            median_figure(f"{corpus}: full-size boxes, picture to picture", jumps),
            median_figure(f"{corpus}: crops from full-size ones", crops, goal=2.0),
            Figure(
                name=f"{corpus}: faces found at full size and lost",
                value=float(lost.sum()),
                unit="frames",
                better="less",
                goal=0.0,
            ),
        ]
    return figures


def median_figure(
    name: str, values: NDArray[np.float64], goal: float | None = None
) -> Figure:
    """Return the median of distances in percent of the face size."""
    percent = 100 * float(np.median(values))
    return Figure(name=name, value=percent, unit="%", better="less", goal=goal)


def compare(path: Path) -> tuple[NDArray[np.float64], ...]:
    """Return the distances of one clip, and a mask of frames whose face was lost."""
    decoded = read_clip(Clip(clip_id=path.name, source=Source(path)), SETTINGS)
    times_s = decoded.schedule.target_times_s
    region = (0, 0, *decoded.frames[0].size_px)
    full = tracking.link_detections(detect_full_size(decoded.frames), times_s)
    track, _ = find_track(decoded.frames, times_s, region, "cpu")
    if full is None or track is None:
        sys.exit(f"{path}: no face")
    squares = [
        cropping.square_boxes(
            tracking.smooth_track(t.boxes_px, times_s),
            margin=SETTINGS.face_margin,
            region_px=region,
        ).astype(np.float64)
        for t in (track, full)
    ]
    both = track.found & full.found
    return (
        box_distance(track.boxes_px, full.boxes_px)[both],
        box_distance(full.boxes_px[1:], full.boxes_px[:-1]),
        box_distance(*squares),
        full.found & ~track.found,
    )


def detect_full_size(frames: list[DecodedFrame]) -> list[tracking.Detections]:
    """Detect faces in every full-size frame with MTCNN's own thresholds."""
    from facenet_pytorch import MTCNN

    mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_PX).eval()
    detections = []
    for frame in frames:
        with torch.inference_mode():
            boxes, scores = mtcnn.detect(frame.rgb())
        detections.append(
            tracking.no_faces()
            if boxes is None
            else tracking.Detections(
                boxes_px=np.asarray(boxes, dtype=np.float64),
                scores=np.asarray(scores, dtype=np.float64),
            )
        )
    return detections


def box_distance(
    boxes: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean distance of box edges, divided by the size of the reference."""
    size = (reference[:, 2:] - reference[:, :2]).max(axis=1)
    return np.asarray(np.abs(boxes - reference).mean(axis=1) / size)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(measure)
