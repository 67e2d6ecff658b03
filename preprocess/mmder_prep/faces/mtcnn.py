"""The face detector's edge: pictures in, boxes out.

MTCNN: three networks, each of which looks closer at what the one before let through.
The networks and their weights are facenet-pytorch's; the steps between them are here,
on arrays, since its own cut and resize every candidate in torch, one by one.
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
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

SEARCH_PX = ((200, 24), (400, 24), (960, 24))
"""Longer side of the reduced copy, and smallest face looked for in it. The next is
tried only where the one before finds no face in any picture of the clip."""
FIRST, SECOND, THIRD = 0.85, 0.7, 0.7
"""Least scores in the three networks. MTCNN's own 0.6 for the first lets through
mostly what the second throws out; a face passes it many times over."""
FACTOR = 0.709
"""From one copy of the pyramid to the next smaller: half the pixels."""
CELL_PX, SECOND_PX, THIRD_PX = 12, 24, 48
"""What each network looks at."""
PIXELS_A_CALL = 300_000
"""Bounds the memory of one call, whatever the size of the pictures."""

Boxes = Float[np.ndarray, "_ 4"]
Scores = Float[np.ndarray, " _"]
"""One a face; pictures have different numbers of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Nets:
    first: torch.nn.Module
    second: torch.nn.Module
    third: torch.nn.Module
    device: torch.device


@cache
def _nets(device: str) -> _Nets:
    where = torch.device(device)
    # Channels last: torch's pooling is several times as fast with it.
    made = [
        net().eval().to(where, memory_format=torch.channels_last)
        for net in (PNet, RNet, ONet)
    ]
    return _Nets(first=made[0], second=made[1], third=made[2], device=where)


def detect(
    pictures: Sequence[UInt8[np.ndarray, "height width rgb"]],
    *,
    min_face_px: int,
    device: str,
) -> list[Detections]:
    """Find all faces in pictures of one size, several pictures a call."""
    nets = _nets(device)
    found: list[Detections] = []
    height, width = pictures[0].shape[:2]
    frames = max(1, PIXELS_A_CALL // (height * width))
    for start in range(0, len(pictures), frames):
        batch = pictures[start : start + frames]
        boxes = _propose(batch, min_face_px, nets)
        boxes, scores = _judge(batch, boxes, nets, nets.second, SECOND_PX)
        keep = [s >= SECOND for s in scores]
        kept = [
            _distinct(b[k], s[k], 0.7)
            for b, s, k in zip(boxes, scores, keep, strict=True)
        ]
        boxes = [b[k][i] for b, k, i in zip(boxes, keep, kept, strict=True)]
        boxes, scores = _judge(batch, boxes, nets, nets.third, THIRD_PX)
        for b, s in zip(boxes, scores, strict=True):
            b, s = b[s >= THIRD], s[s >= THIRD]
            best = _distinct(b, s, 0.7, of_smaller=True)
            found.append(Detections(boxes_px=b[best], scores=s[best]))
    return found


def refine_boxes(
    pictures: Sequence[UInt8[np.ndarray, "height width rgb"]],
    boxes_px: Float[np.ndarray, "picture 4"],
    *,
    sizes: Sequence[float],
    device: str,
) -> tuple[Float[np.ndarray, "picture 4"], Float[np.ndarray, " picture"]]:
    """Look again at one place of each picture with the last network alone.

    Args:
        pictures: Of any size.
        boxes_px: Where the face is, about.
        sizes: How large a part around that place is looked at, in sizes of the box.
        device: Where the network runs.

    Returns:
        The better box of each, and how sure it is that it holds a face: the mean over
        what is seen at each size.
    """
    nets = _nets(device)
    middle_px = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    half_px = (boxes_px[:, 2:] - boxes_px[:, :2]) / 2
    around = [
        np.concatenate([middle_px - half_px * s, middle_px + half_px * s], axis=1)
        for s in sizes
    ]
    places = list(np.stack(around, axis=1))
    boxes, scores = _judge(pictures, places, nets, nets.third, THIRD_PX)
    return np.stack(boxes).mean(axis=1), np.stack(scores).mean(axis=1)


def _run(
    net: torch.nn.Module,
    device: torch.device,
    pictures: UInt8[np.ndarray, "picture y x rgb"],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give a network's offsets of edges and its scores."""
    with torch.inference_mode():
        given = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()
        out = net((given - 127.5) / 128)
    return out[0].cpu().numpy(), out[-1][:, 1].cpu().numpy()


def _propose(
    pictures: Sequence[UInt8[np.ndarray, "height width rgb"]],
    min_face_px: int,
    nets: _Nets,
) -> list[Boxes]:
    """Slide the first network over smaller and smaller copies."""
    height, width = pictures[0].shape[:2]
    boxes: list[list[Boxes]] = [[np.zeros((0, 4))] for _ in pictures]
    scores: list[list[Scores]] = [[np.zeros(0)] for _ in pictures]
    scale = CELL_PX / min_face_px
    copies = list(pictures)
    while min(height, width) * scale >= CELL_PX:
        size = int(width * scale + 1), int(height * scale + 1)
        copies = [cv2.resize(c, size, interpolation=cv2.INTER_AREA) for c in copies]
        offsets, sure = _run(nets.first, nets.device, np.stack(copies))
        for place in range(len(pictures)):
            rows, columns = np.nonzero(sure[place] >= FIRST)
            corner = 2.0 * np.stack([columns, rows], axis=1)
            edges = np.concatenate([corner, corner + CELL_PX], axis=1) / scale
            score = sure[place, rows, columns].astype(np.float64)
            best = _distinct(edges, score, 0.5)
            shift = offsets[place, :, rows, columns][best]
            boxes[place].append(_shifted(edges[best], shift))
            scores[place].append(score[best])
        scale *= FACTOR
    joined = [
        (np.concatenate(b), np.concatenate(s))
        for b, s in zip(boxes, scores, strict=True)
    ]
    return [b[_distinct(b, s, 0.7)] for b, s in joined]


def _judge(
    pictures: Sequence[UInt8[np.ndarray, "height width rgb"]],
    boxes: Sequence[Boxes],
    nets: _Nets,
    net: torch.nn.Module,
    side_px: int,
) -> tuple[list[Boxes], list[Scores]]:
    """Have a network look at the square around each box: better boxes, and scores."""
    squares = [_squares(b) for b in boxes]
    cuts = [
        _cut(picture, square, side_px)
        for picture, here in zip(pictures, squares, strict=True)
        for square in here
    ]
    if not cuts:
        return list(squares), [np.zeros(0) for _ in boxes]
    offsets, sure = _run(net, nets.device, np.stack(cuts))
    moved = _shifted(np.concatenate(squares), offsets)
    ends = np.cumsum([len(s) for s in squares])[:-1]
    return np.split(moved, ends), np.split(sure.astype(np.float64), ends)


def _cut(
    picture: UInt8[np.ndarray, "height width rgb"],
    square: Float[np.ndarray, " 4"],
    side_px: int,
) -> UInt8[np.ndarray, "y x rgb"]:
    """Cut what of a square lies in the picture, at a network's size."""
    height, width = picture.shape[:2]
    left, right = np.clip(square[::2].astype(np.int64), [0, 1], [width - 1, width])
    top, bottom = np.clip(square[1::2].astype(np.int64), [0, 1], [height - 1, height])
    inside = picture[top:bottom, left:right]
    return np.asarray(
        cv2.resize(inside, (side_px, side_px), interpolation=cv2.INTER_AREA)
    )


def _squares(boxes: Boxes) -> Boxes:
    """Widen boxes to squares of whole pixels around the same middle."""
    side = np.rint((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True))
    first = np.rint((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate([first, first + np.maximum(side, 1)], axis=1)


def _shifted(boxes: Boxes, offsets: Float[np.ndarray, "face 4"]) -> Boxes:
    """Move edges by shares of width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + offsets * np.concatenate([size, size], axis=1))


def _distinct(
    boxes: Boxes, scores: Scores, share: float, *, of_smaller: bool = False
) -> Int64[np.ndarray, " kept"]:
    """Choose the best of boxes that overlap by more than a share (of their union)."""
    order = np.argsort(-scores, kind="stable")
    b = boxes[order]
    size = b[:, 2:] - b[:, :2]
    area = size.prod(axis=1)
    low = np.maximum(b[:, None, :2], b[None, :, :2])
    high = np.minimum(b[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    smaller = np.minimum(area[:, None], area[None, :])
    whole = smaller if of_smaller else area[:, None] + area[None, :] - shared
    beside = shared <= share * whole
    left = np.ones(len(order), dtype=bool)
    kept = []
    for place in range(len(order)):
        if left[place]:
            kept.append(place)
            left &= beside[place]
    return np.asarray(order[kept], dtype=np.int64)
