"""Motion of the faces of the synthetic corpus: mouth, brows and head, by warping.

Each frame displaces the pixels of the head relative to the frame at rest. All geometry
is in pixels of the portrait with the mouth at rest and the head upright. The
displacement fields are smooth, so they are computed once per cell and enlarged. Only
the lips are computed at the resolution of the chroma planes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from mmder_prep.synthetic.appearance import (
    FACE_CENTER_PX,
    Appearance,
    FaceTraits,
    planes,
    portrait_to_frame,
    render_still,
)

# Positions in the cut-out; left and right are symmetric about the center.
CENTER_X = FACE_CENTER_PX[0]
EYE_X, EYE_Y, BROW_Y = 21.5, 102.0, 91.0
MOUTH_X, MOUTH_Y = 21.5, 140.5  # corners of the mouth
LIP_DROP, TEETH = 2.5, 6.0  # sag of the upper lip, visible height of the teeth
CHIN_Y, NECK_Y = 168.0, 186.0
HEAD_X, HEAD_Y = 75.0, 85.0  # half axes of the ellipse around head and hair
HEAD_AREA = ((CENTER_X - 105, 5.0), (CENTER_X + 105, 218.0))  # left top, right bottom
MOUTH_AREA = ((CENTER_X - 44, 118.0), (CENTER_X + 44, 208.0))  # the reach of the mouth
CAVITY_YUV = (38, 122, 142)  # inside of the mouth: nearly black, slightly red
CELL_PX = 8  # in pixels of the frame


def render_frames(
    appearance: Appearance,
    traits: FaceTraits,
    *,
    openness: Float[np.ndarray, " frame"],
    fps: float,
    rng: np.random.Generator,
) -> Iterator[UInt8[np.ndarray, "rows width"]]:
    """Render the frames of one clip.

    Args:
        appearance: Appearance of the actor.
        traits: Face of this clip.
        openness: Opening of the mouth in each frame, 0 to 1.
        fps: Frames per second.
        rng: Random generator of the clip, for the motion of the head.

    Yields:
        I420 frames, all in the same buffer.
    """
    base = render_still(appearance)
    frame = base.copy()
    scale, offset = portrait_to_frame(appearance)
    corners = np.maximum(np.array(HEAD_AREA) * scale + offset, 0)
    low, high = (corners // CELL_PX).astype(int)
    # In pixels of the chroma planes.
    lips = ((np.array(MOUTH_AREA) * scale + offset) / 2).astype(int)
    scale, offset = scale[:, None, None], offset[:, None, None]
    # Enlarging is exact only between cell centers: add one cell on each side.
    columns, rows = (np.arange(a - 1, b + 1) for a, b in zip(low, high, strict=True))
    center = (np.stack(np.meshgrid(columns, rows)) + 0.5) * CELL_PX - 0.5
    head = _Head.at(((center - offset) / scale).astype(np.float32), traits)
    half = CELL_PX // 2
    mouth_area = (slice(None), *_window(*(lips - half * (low - 1))))

    motion = _head_motion(len(openness), traits, fps=fps, rng=rng)
    for opening, (tilt, shake, nod) in zip(openness, motion, strict=True):
        cells = head.pose(tilt=tilt, shake=shake, nod=nod)
        source = np.stack([_enlarge(axis, half) for axis in cells])
        lower, dark = _open_mouth(source[mouth_area], gap=traits.rest + 9 * opening)
        source[mouth_area][1] += lower
        source *= scale
        source += offset
        luma = [_enlarge(a, 2)[CELL_PX:-CELL_PX, CELL_PX:-CELL_PX] for a in source]
        chroma = (source[:, half:-half, half:-half] - 0.5) / 2
        for still, moved, positions, darkness, color, size in zip(
            planes(base),
            planes(frame),
            (luma, chroma, chroma),
            (_enlarge(dark, 2), dark, dark),
            CAVITY_YUV,
            (2, 1, 1),
            strict=True,
        ):
            area = _window(half * size * low, half * size * high)
            moved[area] = _remap(still, *positions)
            mouth = moved[_window(*(size * lips))]
            mouth[:] = mouth + darkness * (np.float32(color) - mouth)
        yield frame


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """Fields of one clip at the cell centers."""

    point: Float32[np.ndarray, "xy rows columns"]
    turns: Float32[np.ndarray, "rows columns"]  # fraction that turns with the head
    front: Float32[np.ndarray, "rows columns"]
    expression: Float32[np.ndarray, "xy rows columns"]

    @classmethod
    def at(
        cls, point: Float32[np.ndarray, "xy rows columns"], traits: FaceTraits
    ) -> "_Head":
        """Compute the fields at points of the portrait."""
        u, v = point[0] - np.float32(CENTER_X), point[1]
        side = np.abs(u)
        radius = np.hypot(u / HEAD_X, (v - 97) / HEAD_Y)
        turns = _smooth((1.4 - radius) / 0.4)
        # The source of a pixel: the opposite of its motion by the expression.
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
        """Return the position in the portrait that each cell shows."""
        cos, sin = np.float32(np.cos(tilt) - 1), np.float32(np.sin(tilt))
        u, v = self.point - np.array([CENTER_X, NECK_Y], np.float32)[:, None, None]
        turned = self.turns * np.stack([cos * u + sin * v, cos * v - sin * u])
        # A turn of the head shifts the front of the face relative to its outline.
        shift = np.array([shake, nod], np.float32)[:, None, None]
        position = self.point + turned - self.front * shift
        first, second = self.point[:, 0, 0], self.point[:, 1, 1]
        step = (second - first)[:, None, None]
        x, y = (position - first[:, None, None]) / step
        position += np.stack([_remap(axis, x, y) for axis in self.expression])
        return np.asarray(position)


def _open_mouth(
    position: Float32[np.ndarray, "xy rows columns"], *, gap: float
) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
    """Open the mouth of the portrait, or close its lips over the teeth.

    Args:
        position: Positions in the portrait.
        gap: Distance between the lips in the center of the mouth.

    Returns:
        Downward offset of the source of each position, and its darkness.
    """
    arch = np.clip(
        1 - ((position[0] - np.float32(CENTER_X)) / np.float32(MOUTH_X)) ** 2, 0, 1
    )
    below = position[1] - (MOUTH_Y + LIP_DROP * arch)  # the upper lip
    open_px, teeth = np.float32(gap) * arch, np.float32(TEETH) * arch
    # The lower lip and the jaw follow the opening; the throat stays in place.
    lower = (below > open_px) * (teeth - open_px) * _smooth((46 - below) / 40)
    shown = np.minimum(teeth, np.float32(0.55) * open_px)
    hole = np.clip((below - shown) / 1.5, 0, 1) * np.clip(open_px - below + 0.5, 0, 1)
    # Closed lips meet in a line, which also hides the seam of the displacement.
    line = np.clip(1.2 - np.abs(below - open_px), 0, 0.7)
    line = line * np.clip(1 - open_px / 3, 0, 1)
    return lower, np.maximum(hole, line) * np.clip(4 * arch, 0, 1)


def _head_motion(
    n_frames: int, traits: FaceTraits, *, fps: float, rng: np.random.Generator
) -> Float[np.ndarray, "frame tilt_shake_nod"]:
    """Return a slow random motion of the head around the tilt of the clip."""
    time_s = np.arange(n_frames)[:, None, None] / fps
    rate_hz = rng.uniform([0.3, 0.9], [0.7, 1.6], (3, 2))
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    waves = np.sin(2 * np.pi * rate_hz * time_s + phase) @ np.array([1.0, 0.5])
    tilt = np.array([traits.tilt_rad, 0, 0])
    return np.asarray(traits.sway * waves * np.array([0.025, 2.2, 2.2]) + tilt)


def _window(
    low: Int[np.ndarray, " xy"], high: Int[np.ndarray, " xy"]
) -> tuple[slice, slice]:
    """Return the slices of a rectangle from its corners."""
    (left, top), (right, bottom) = low, high
    return slice(top, bottom), slice(left, right)


def _remap(
    plane: np.ndarray,
    x: Float32[np.ndarray, "rows columns"],
    y: Float32[np.ndarray, "rows columns"],
) -> np.ndarray:
    """Sample a plane at positions with linear interpolation."""
    return np.asarray(
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _enlarge(field: Float32[np.ndarray, "rows columns"], times: int) -> np.ndarray:
    """Enlarge a field by an integer factor."""
    return np.asarray(cv2.resize(field, None, fx=times, fy=times))


def _bump(
    u: Float32[np.ndarray, "rows columns"],
    v: Float32[np.ndarray, "rows columns"],
    width: float,
    height: float,
) -> Float32[np.ndarray, "rows columns"]:
    """Return a Gaussian bump of height 1 around the origin."""
    return np.asarray(np.exp(-0.5 * ((u / width) ** 2 + (v / height) ** 2)))


def _smooth(
    step: Float32[np.ndarray, "rows columns"],
) -> Float32[np.ndarray, "rows columns"]:
    """Return a smooth step from 0 at 0 to 1 at 1."""
    step = np.clip(step, 0, 1)
    return np.asarray(step * step * (3 - 2 * step))
