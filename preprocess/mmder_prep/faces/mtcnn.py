"""Face detector: images in, face boxes out.

MTCNN is a cascade of three networks, each of which examines the boxes that the one
before accepted. The networks and their weights come from facenet-pytorch. The steps
between them are implemented here on arrays, since facenet-pytorch cuts and resizes
every candidate with torch, one by one.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray

from mmder_prep.faces.tracking import Detections


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Keep torch's compiler from being imported by a process that compiles nothing.

    torchvision imports it to check if a device could compile one operation (region
    alignment, which MTCNN does not use). This costs every worker 140 MB and seconds.
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
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

SEARCH_PX = ((200, 24), (400, 24), (960, 24))
"""Longer side of the reduced copy, and smallest face detected in it. A pair is tried
only if the one before finds no face in any frame of the clip."""
FIRST, SECOND, THIRD = 0.85, 0.7, 0.7
"""Minimum scores of the three networks. MTCNN's own 0.6 for the first accepts mostly
boxes that the second rejects; a face is accepted many times over."""
FACTOR = 0.709
"""Scale from one level of the image pyramid to the next: half the pixels."""
CELL_PX, SECOND_PX, THIRD_PX = 12, 24, 48
"""Input sizes of the three networks."""
MAX_PIXELS_PER_CALL = 300_000
"""Maximum number of pixels per call; it bounds the memory for any image size."""

Boxes = Float[np.ndarray, "_ 4"]
"""Boxes of the faces in one image."""
Scores = Float[np.ndarray, " _"]
"""Scores, one per face; the number of faces differs between images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Networks:
    """The three networks of the cascade."""

    first: torch.nn.Module
    second: torch.nn.Module
    third: torch.nn.Module
    device: torch.device


@cache
def _load_networks(device_name: str) -> _Networks:
    """Load the networks, once per device."""
    device = torch.device(device_name)
    # Channels last: torch's pooling is several times as fast with it.
    first, second, third = (
        net().eval().to(device, memory_format=torch.channels_last)
        for net in (PNet, RNet, ONet)
    )
    return _Networks(first=first, second=second, third=third, device=device)


def detect(
    images: Sequence[UInt8[np.ndarray, "height width rgb"]],
    *,
    min_face_px: int,
    device: str,
) -> list[Detections]:
    """Detect all faces in images of one size, several images per call."""
    networks = _load_networks(device)
    detections: list[Detections] = []
    height, width = images[0].shape[:2]
    count = max(1, MAX_PIXELS_PER_CALL // (height * width))
    for start in range(0, len(images), count):
        batch = images[start : start + count]
        boxes = _propose(batch, min_face_px, networks)
        boxes, scores = _refine(batch, boxes, networks, networks.second, SECOND_PX)
        accepted = [s >= SECOND for s in scores]
        best = [
            _suppress_overlaps(b[a], s[a], 0.7)
            for b, s, a in zip(boxes, scores, accepted, strict=True)
        ]
        boxes = [b[a][i] for b, a, i in zip(boxes, accepted, best, strict=True)]
        boxes, scores = _refine(batch, boxes, networks, networks.third, THIRD_PX)
        for b, s in zip(boxes, scores, strict=True):
            b, s = b[s >= THIRD], s[s >= THIRD]
            kept = _suppress_overlaps(b, s, 0.7, of_smaller=True)
            detections.append(Detections(boxes_px=b[kept], scores=s[kept]))
    return detections


def refine_boxes(
    images: Sequence[UInt8[np.ndarray, "height width rgb"]],
    boxes_px: Float[np.ndarray, "image 4"],
    *,
    sizes: Sequence[float],
    device: str,
) -> tuple[Float[np.ndarray, "image 4"], Float[np.ndarray, " image"]]:
    """Refine one box of each image with the last network only.

    Args:
        images: Images of any size.
        boxes_px: Approximate box of the face in each image.
        sizes: Sizes of the regions to examine, relative to the box.
        device: Torch device of the network.

    Returns:
        The refined box of each image, and its score as a face. Both are the mean over
        the sizes.
    """
    networks = _load_networks(device)
    center_px = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    half_px = (boxes_px[:, 2:] - boxes_px[:, :2]) / 2
    around = [
        np.concatenate([center_px - half_px * s, center_px + half_px * s], axis=1)
        for s in sizes
    ]
    regions = list(np.stack(around, axis=1))
    boxes, scores = _refine(images, regions, networks, networks.third, THIRD_PX)
    return np.stack(boxes).mean(axis=1), np.stack(scores).mean(axis=1)


def _run(
    network: torch.nn.Module,
    device: torch.device,
    images: UInt8[np.ndarray, "image y x rgb"],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a network's edge offsets and its scores.

    A GPU computes in full 32-bit floats here, with deterministic algorithms: cuDNN's
    default (TF32) has 10 bits of mantissa.
    """
    exact = torch.backends.cudnn.flags(
        enabled=True, deterministic=True, allow_tf32=False
    )
    with torch.inference_mode(), exact:
        batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
        out = network((batch - 127.5) / 128)
    return out[0].cpu().numpy(), out[-1][:, 1].cpu().numpy()


def _propose(
    images: Sequence[UInt8[np.ndarray, "height width rgb"]],
    min_face_px: int,
    networks: _Networks,
) -> list[Boxes]:
    """Return candidate boxes of the first network on an image pyramid."""
    height, width = images[0].shape[:2]
    boxes: list[list[Boxes]] = [[np.zeros((0, 4))] for _ in images]
    scores: list[list[Scores]] = [[np.zeros(0)] for _ in images]
    scale = CELL_PX / min_face_px
    copies = list(images)
    while min(height, width) * scale >= CELL_PX:
        size = int(width * scale + 1), int(height * scale + 1)
        copies = [cv2.resize(c, size, interpolation=cv2.INTER_AREA) for c in copies]
        offsets, confidence = _run(networks.first, networks.device, np.stack(copies))
        for index in range(len(images)):
            rows, columns = np.nonzero(confidence[index] >= FIRST)
            corner = 2.0 * np.stack([columns, rows], axis=1)
            edges = np.concatenate([corner, corner + CELL_PX], axis=1) / scale
            score = confidence[index, rows, columns].astype(np.float64)
            best = _suppress_overlaps(edges, score, 0.5)
            shift = offsets[index, :, rows, columns][best]
            boxes[index].append(_shift_edges(edges[best], shift))
            scores[index].append(score[best])
        scale *= FACTOR
    merged = [
        (np.concatenate(b), np.concatenate(s))
        for b, s in zip(boxes, scores, strict=True)
    ]
    return [b[_suppress_overlaps(b, s, 0.7)] for b, s in merged]


def _refine(
    images: Sequence[UInt8[np.ndarray, "height width rgb"]],
    boxes: Sequence[Boxes],
    networks: _Networks,
    network: torch.nn.Module,
    side_px: int,
) -> tuple[list[Boxes], list[Scores]]:
    """Return refined boxes and scores from the square around each box."""
    squares = [_squares(b) for b in boxes]
    cuts = [
        _cut(image, square, side_px)
        for image, here in zip(images, squares, strict=True)
        for square in here
    ]
    if not cuts:
        return list(squares), [np.zeros(0) for _ in boxes]
    offsets, confidence = _run(network, networks.device, np.stack(cuts))
    moved = _shift_edges(np.concatenate(squares), offsets)
    ends = np.cumsum([len(s) for s in squares])[:-1]
    return np.split(moved, ends), np.split(confidence.astype(np.float64), ends)


def _cut(
    image: UInt8[np.ndarray, "height width rgb"],
    square: Float[np.ndarray, " 4"],
    side_px: int,
) -> UInt8[np.ndarray, "y x rgb"]:
    """Return the part of a square inside the image, resized for a network."""
    height, width = image.shape[:2]
    left, right = np.clip(square[::2].astype(np.int64), [0, 1], [width - 1, width])
    top, bottom = np.clip(square[1::2].astype(np.int64), [0, 1], [height - 1, height])
    inside = image[top:bottom, left:right]
    return np.asarray(
        cv2.resize(inside, (side_px, side_px), interpolation=cv2.INTER_AREA)
    )


def _squares(boxes: Boxes) -> Boxes:
    """Return squares of whole pixels with the centers of boxes."""
    side = np.rint((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True))
    first = np.rint((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate([first, first + np.maximum(side, 1)], axis=1)


def _shift_edges(boxes: Boxes, offsets: Float[np.ndarray, "face 4"]) -> Boxes:
    """Return boxes whose edges are moved by fractions of width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + offsets * np.concatenate([size, size], axis=1))


def _suppress_overlaps(
    boxes: Boxes, scores: Scores, fraction: float, *, of_smaller: bool = False
) -> Int64[np.ndarray, " kept"]:
    """Return the indices of the best boxes (non-maximum suppression).

    Args:
        boxes: Boxes that may overlap.
        scores: Score of each box.
        fraction: Maximum overlap of two boxes that are both kept, as a fraction of
            the area of their union.
        of_smaller: Measure the overlap as a fraction of the smaller box instead.
    """
    order = np.argsort(-scores, kind="stable")
    b = boxes[order]
    size = b[:, 2:] - b[:, :2]
    area = size.prod(axis=1)
    low = np.maximum(b[:, None, :2], b[None, :, :2])
    high = np.minimum(b[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    smaller = np.minimum(area[:, None], area[None, :])
    whole = smaller if of_smaller else area[:, None] + area[None, :] - shared
    compatible = shared <= fraction * whole
    remaining = np.ones(len(order), dtype=bool)
    kept = []
    for index in range(len(order)):
        if remaining[index]:
            kept.append(index)
            remaining &= compatible[index]
    return np.asarray(order[kept], dtype=np.int64)
