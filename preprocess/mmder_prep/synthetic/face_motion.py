"""How a face of the sample corpus moves: mouth, brows and head, by a warp.

Each frame displaces the pixels of the head against the frame at rest. All geometry
is in pixels of the portrait, mouth at rest and head upright. The fields of the
displacement are smooth, so they are computed once a cell and enlarged; only the
lips are computed at the resolution of the chroma planes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from mmder_prep.synthetic.appearance import (
    MIDDLE_PX,
    FaceTraits,
    Look,
    lay_out,
    planes,
    portrait_to_frame,
)

# Where things are in the cut-out; left and right mirror about the middle.
MIDDLE_X = MIDDLE_PX[0]
EYE_X, EYE_Y, BROW_Y = 21.5, 102.0, 91.0
MOUTH_X, MOUTH_Y = 21.5, 140.5  # the corners
LIP_DROP, TEETH = 2.5, 6.0  # the upper lip sags so far, the teeth show so much
CHIN_Y, NECK_Y = 168.0, 186.0
HEAD_X, HEAD_Y = 75.0, 85.0  # half axes of the ellipse about head and hair
MOVING = ((MIDDLE_X - 105, 5.0), (MIDDLE_X + 105, 218.0))  # left top, right bottom
SPEAKING = ((MIDDLE_X - 44, 118.0), (MIDDLE_X + 44, 208.0))  # all a mouth can reach
CAVITY_YUV = (38, 122, 142)  # the inside of a mouth: nearly black, slightly red
CELL_PX = 8  # of the frame


def film(
    look: Look,
    traits: FaceTraits,
    *,
    openness: Float[np.ndarray, " frame"],
    fps: float,
    rng: np.random.Generator,
) -> Iterator[UInt8[np.ndarray, "rows width"]]:
    """Film one clip.

    Args:
        look: The actor.
        traits: The face of this clip.
        openness: How far the mouth is open in each frame, 0 to 1.
        fps: Frames a second.
        rng: The randomness of the clip, for the movement of the head.

    Yields:
        One I420 frame after the other, each in the same buffer.
    """
    base = lay_out(look)
    frame = base.copy()
    scale, offset = portrait_to_frame(look)
    corners = np.maximum(np.array(MOVING) * scale + offset, 0)
    low, high = (corners // CELL_PX).astype(int)
    lips = ((np.array(SPEAKING) * scale + offset) / 2).astype(int)  # of the chroma
    scale, offset = scale[:, None, None], offset[:, None, None]
    # Enlarging is exact only between the centres of cells: one more on each side.
    columns, rows = (np.arange(a - 1, b + 1) for a, b in zip(low, high, strict=True))
    centre = (np.stack(np.meshgrid(columns, rows)) + 0.5) * CELL_PX - 0.5
    head = _Head.at(((centre - offset) / scale).astype(np.float32), traits)
    half = CELL_PX // 2
    speaking = (slice(None), *_window(*(lips - half * (low - 1))))

    motion = _motion(len(openness), traits, fps=fps, rng=rng)
    for opened, (tilt, shake, nod) in zip(openness, motion, strict=True):
        cells = head.pose(tilt=tilt, shake=shake, nod=nod)
        source = np.stack([_enlarge(axis, half) for axis in cells])
        lower, dark = _speak(source[speaking], gap=traits.rest + 9 * opened)
        source[speaking][1] += lower
        source *= scale
        source += offset
        luma = [_enlarge(a, 2)[CELL_PX:-CELL_PX, CELL_PX:-CELL_PX] for a in source]
        chroma = (source[:, half:-half, half:-half] - 0.5) / 2
        for still, moved, where, shade, colour, size in zip(
            planes(base),
            planes(frame),
            (luma, chroma, chroma),
            (_enlarge(dark, 2), dark, dark),
            CAVITY_YUV,
            (2, 1, 1),
            strict=True,
        ):
            area = _window(half * size * low, half * size * high)
            moved[area] = _remap(still, *where)
            mouth = moved[_window(*(size * lips))]
            mouth[:] = mouth + shade * (np.float32(colour) - mouth)
        yield frame


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """The fields of one clip at the centres of the cells."""

    point: Float32[np.ndarray, "xy rows columns"]
    turns: Float32[np.ndarray, "rows columns"]  # with the head
    front: Float32[np.ndarray, "rows columns"]
    expression: Float32[np.ndarray, "xy rows columns"]

    @classmethod
    def at(
        cls, point: Float32[np.ndarray, "xy rows columns"], traits: FaceTraits
    ) -> "_Head":
        u, v = point[0] - np.float32(MIDDLE_X), point[1]
        side = np.abs(u)
        radius = np.hypot(u / HEAD_X, (v - 97) / HEAD_Y)
        turns = _smooth((1.4 - radius) / 0.4)
        # Where a pixel comes from: the opposite of where the expression moves it.
        corner = _bump(side - MOUTH_X, v - MOUTH_Y, 9, 10)
        cheek = _bump(u, v - MOUTH_Y, 20, 9)
        brow = _bump(side - EYE_X, v - BROW_Y, 13, 7)
        eye = _bump(side - EYE_X, v - EYE_Y, 12, 7)
        chin = _bump(u, v - CHIN_Y, 40, 18)
        dx = -0.022 * traits.smile * u * cheek
        dy = traits.smile * corner + traits.brow * brow - traits.jaw * chin
        dy = dy - traits.eyes * (v - EYE_Y) * eye
        return cls(
            point=point,
            turns=turns,
            front=turns * _bump(u, v - 125, 36, 38),
            expression=np.stack([dx, dy]).astype(np.float32),
        )

    def pose(
        self, *, tilt: float, shake: float, nod: float
    ) -> Float32[np.ndarray, "xy rows columns"]:
        """Return the place in the portrait that each cell shows."""
        cos, sin = np.float32(np.cos(tilt) - 1), np.float32(np.sin(tilt))
        u, v = self.point - np.array([MIDDLE_X, NECK_Y], np.float32)[:, None, None]
        turned = self.turns * np.stack([cos * u + sin * v, cos * v - sin * u])
        # The front of the face shifts against the outline: a turn, seen flat.
        shift = np.array([shake, nod], np.float32)[:, None, None]
        place = self.point + turned - self.front * shift
        first, second = self.point[:, 0, 0], self.point[:, 1, 1]
        step = (second - first)[:, None, None]
        x, y = (place - first[:, None, None]) / step
        place += np.stack([_remap(axis, x, y) for axis in self.expression])
        return np.asarray(place)


def _speak(
    place: Float32[np.ndarray, "xy rows columns"], *, gap: float
) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
    """Open the mouth of the portrait, or close its lips over the teeth.

    Args:
        place: Places in the portrait.
        gap: The distance between the lips in the middle of the mouth.

    Returns:
        How much further down each place comes from, and how dark it is.
    """
    share = np.clip(
        1 - ((place[0] - np.float32(MIDDLE_X)) / np.float32(MOUTH_X)) ** 2, 0, 1
    )
    below = place[1] - (MOUTH_Y + LIP_DROP * share)  # the upper lip
    open_px, teeth = np.float32(gap) * share, np.float32(TEETH) * share
    # The lower lip and the jaw follow the opening; the throat stays.
    lower = (below > open_px) * (teeth - open_px) * _smooth((46 - below) / 40)
    shown = np.minimum(teeth, np.float32(0.55) * open_px)
    hole = np.clip((below - shown) / 1.5, 0, 1) * np.clip(open_px - below + 0.5, 0, 1)
    # Shut lips meet in a line; it also hides the seam of the displacement.
    line = np.clip(1.2 - np.abs(below - open_px), 0, 0.7)
    line = line * np.clip(1 - open_px / 3, 0, 1)
    return lower, np.maximum(hole, line) * np.clip(4 * share, 0, 1)


def _motion(
    n_frames: int, traits: FaceTraits, *, fps: float, rng: np.random.Generator
) -> Float[np.ndarray, "frame tilt_shake_nod"]:
    """Return a slow wander of the head about the tilt of the clip."""
    time_s = np.arange(n_frames)[:, None, None] / fps
    rate_hz = rng.uniform([0.3, 0.9], [0.7, 1.6], (3, 2))
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    waves = np.sin(2 * np.pi * rate_hz * time_s + phase) @ np.array([1.0, 0.5])
    tilt = np.array([traits.tilt_rad, 0, 0])
    return np.asarray(traits.sway * waves * np.array([0.025, 2.2, 2.2]) + tilt)


def _window(
    low: Int[np.ndarray, " xy"], high: Int[np.ndarray, " xy"]
) -> tuple[slice, slice]:
    (left, top), (right, bottom) = low, high
    return slice(top, bottom), slice(left, right)


def _remap(
    plane: np.ndarray,
    x: Float32[np.ndarray, "rows columns"],
    y: Float32[np.ndarray, "rows columns"],
) -> np.ndarray:
    return np.asarray(
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _enlarge(field: Float32[np.ndarray, "rows columns"], times: int) -> np.ndarray:
    return np.asarray(cv2.resize(field, None, fx=times, fy=times))


def _bump(
    u: Float32[np.ndarray, "rows columns"],
    v: Float32[np.ndarray, "rows columns"],
    width: float,
    height: float,
) -> Float32[np.ndarray, "rows columns"]:
    return np.asarray(np.exp(-0.5 * ((u / width) ** 2 + (v / height) ** 2)))


def _smooth(
    step: Float32[np.ndarray, "rows columns"],
) -> Float32[np.ndarray, "rows columns"]:
    step = np.clip(step, 0, 1)
    return np.asarray(step * step * (3 - 2 * step))
