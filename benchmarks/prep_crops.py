"""Are the crops as good as with the face detector on every full-size picture?

Needs genuine clips in the folder that MMDER_REAL_CLIPS names, one folder a corpus.
For each: how far boxes are from those that MTCNN, with its own settings, finds in the
full-size pictures, how far these jump from picture to picture, and how far the crops
are apart that the two lead to. All in shares of the face's size, as the mean of the
four edges.
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
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.picture import VideoPicture
from mmder_prep.media.source import Source
from mmder_store.settings import PrepSettings
from record import Figure, main

CORPORA = ("grid", "mead", "cremad", "ravdess")
SETTINGS = PrepSettings(step_frames=None)
MIN_FACE_PX = 40
"""Smaller faces are not those of talking heads, and take most of the time."""


def measure(quick: bool) -> list[Figure]:
    """Compare every clip of each corpus; quick: one of each."""
    root = Path(os.environ.get("MMDER_REAL_CLIPS", ""))
    if not os.environ.get("MMDER_REAL_CLIPS"):
        sys.exit(
            "MMDER_REAL_CLIPS names no folder of genuine clips; nothing to compare"
        )
    figures = []
    for corpus in CORPORA:
        clips = sorted(p for p in (root / corpus).rglob("*.*") if p.is_file())
        found = [compare(path) for path in clips[: 1 if quick else None]]
        if not found:
            continue
        boxes, jumps, crops, lost = map(np.concatenate, zip(*found, strict=True))
        figures += [
            share(f"{corpus}: boxes from full-size ones", boxes, goal=2.0),
            share(f"{corpus}: full-size boxes, picture to picture", jumps),
            share(f"{corpus}: crops from full-size ones", crops, goal=2.0),
            Figure(
                name=f"{corpus}: faces found at full size and lost",
                value=float(lost.sum()),
                unit="pictures",
                better="less",
                goal=0.0,
            ),
        ]
    return figures


def share(name: str, values: NDArray[np.float64], goal: float | None = None) -> Figure:
    """Give a median in percent of a face."""
    percent = 100 * float(np.median(values))
    return Figure(name=name, value=percent, unit="%", better="less", goal=goal)


def compare(path: Path) -> tuple[NDArray[np.float64], ...]:
    """Give the distances of one clip, and which faces were lost."""
    take = read_clip(Clip(clip_id=path.name, source=Source(path)), SETTINGS)
    whole = (0, 0, *take.frames[0].size_px)
    full = tracking.link_detections(full_size(take.frames), take.target_times_s)
    track, _ = find_track(take.frames, take.target_times_s, whole, "cpu")
    if full is None or track is None:
        sys.exit(f"{path}: no face")
    squares = [
        cropping.square_boxes(
            tracking.smooth_track(t.boxes_px, take.target_times_s),
            margin=SETTINGS.face_margin,
            region_px=whole,
        ).astype(np.float64)
        for t in (track, full)
    ]
    both = track.found & full.found
    return (
        apart(track.boxes_px, full.boxes_px)[both],
        apart(full.boxes_px[1:], full.boxes_px[:-1]),
        apart(*squares),
        full.found & ~track.found,
    )


def full_size(pictures: list[VideoPicture]) -> list[tracking.Detections]:
    """Search every picture at its full size, with MTCNN's own thresholds."""
    from facenet_pytorch import MTCNN

    mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_PX).eval()
    found = []
    for picture in pictures:
        with torch.inference_mode():
            boxes, scores = mtcnn.detect(picture.rgb())
        found.append(
            tracking.no_faces()
            if boxes is None
            else tracking.Detections(
                boxes_px=np.asarray(boxes, dtype=np.float64),
                scores=np.asarray(scores, dtype=np.float64),
            )
        )
    return found


def apart(
    ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give how far the edges of boxes are apart, in sizes of the second."""
    size = (theirs[:, 2:] - theirs[:, :2]).max(axis=1)
    return np.asarray(np.abs(ours - theirs).mean(axis=1) / size)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(measure)
