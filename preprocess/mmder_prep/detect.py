"""The face detector's edge: pictures in, boxes out.

MTCNN of facenet-pytorch, whose weights come with its wheel. Its own selection and
cropping fail when one picture of a batch has no face, so only the detection is used.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType

import numpy as np
import torch
from jaxtyping import UInt8

from mmder_prep.faces import Detections, no_faces


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Keep torch's compiler out of a process that compiles nothing.

    torchvision imports it, 140 MB and seconds of every worker, to ask of one operation
    (region alignment, which MTCNN does not use) whether a device could compile it.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return
    utils = ModuleType("torch._dynamo.utils")
    utils.is_compile_supported = lambda _device: False  # type: ignore[attr-defined]
    absent = {"torch._dynamo": ModuleType("torch._dynamo"), utils.__name__: utils}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with _without_compiler():
    from facenet_pytorch import MTCNN
    from facenet_pytorch.models.utils.detect_face import detect_face

SEARCH_PX = ((320, 32), (960, 24))
"""Longer side of the reduced copy, and smallest face looked for in it. The second
is tried only where the first finds no face in any picture of the clip."""
THRESHOLDS = (0.85, 0.7, 0.7)
"""Of MTCNN's three stages. Its own 0.6 for the first lets through mostly what the
second throws out, at half as much time again; a face passes it many times over."""
PIXELS_A_CALL = 300_000
"""Bounds the memory of one call, whatever the size of the pictures."""


@cache
def _detector(device: str, min_face_px: int) -> MTCNN:
    return MTCNN(
        keep_all=True, device=torch.device(device), min_face_size=min_face_px
    ).eval()


def detect(
    pictures: Sequence[UInt8[np.ndarray, "height width rgb"]],
    *,
    min_face_px: int,
    device: str,
) -> list[Detections]:
    """Find the faces in pictures of one size, several pictures a call."""
    found: list[Detections] = []
    height, width = pictures[0].shape[:2]
    frames = max(1, PIXELS_A_CALL // (height * width))
    for start in range(0, len(pictures), frames):
        batch = np.stack(pictures[start : start + frames])
        found += _detect_batch(batch, min_face_px, device)
    return found


def _detect_batch(
    batch: UInt8[np.ndarray, "frame height width rgb"], min_face_px: int, device: str
) -> list[Detections]:
    if min(batch.shape[1:3]) < min_face_px:
        return [no_faces() for _ in batch]
    mtcnn = _detector(device, min_face_px)
    try:
        with torch.inference_mode():
            boxes, _ = detect_face(
                batch,
                mtcnn.min_face_size,
                mtcnn.pnet,
                mtcnn.rnet,
                mtcnn.onet,
                THRESHOLDS,
                mtcnn.factor,
                mtcnn.device,
            )
    except RuntimeError as error:
        # What it says when every candidate of a stage lies outside the picture.
        if "non-empty list" not in str(error):
            raise
        return [no_faces() for _ in batch]
    return [
        Detections(
            boxes_px=np.asarray(b, dtype=np.float64).reshape(-1, 5)[:, :4],
            scores=np.asarray(b, dtype=np.float64).reshape(-1, 5)[:, 4],
        )
        for b in boxes
    ]
