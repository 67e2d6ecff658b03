"""Appearance of the actors of the synthetic corpus, with the face at rest.

All actors are one portrait in different proportions and colors. It is cut out once per
process, and placed once per actor on a plain background.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

PORTRAIT = "skimage.data.astronaut() (NASA, Eileen Collins, public domain)"
WIDTH_PX, HEIGHT_PX = 1280, 720
FACE_CENTER_PX = (200.5, 120.0)  # in the cut-out; the axis of its mirror symmetry


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """Constant properties of an actor: proportions and colors of the portrait.

    Attributes:
        mirrored: True if left and right are swapped.
        stretch: Frame pixels per portrait pixel, along x and y.
        face_center_px: Center of the face in the frame, x and y.
        gamma: Gamma of the brightness of the skin.
        gain_rgb: Gain of the color of the skin.
        suit_hue: Rotation of the hue of the suit, 0 to 180.
        background_rgb: Color of the plain background.
    """

    mirrored: bool
    stretch: tuple[float, float]
    face_center_px: tuple[float, float]
    gamma: float
    gain_rgb: tuple[float, float, float]
    suit_hue: int
    background_rgb: tuple[float, float, float]


def draw_appearance(rng: np.random.Generator, *, actor: int) -> Appearance:
    """Draw the appearance of an actor; every other pair of actors is mirrored."""
    shade, scale = rng.uniform(196, 236), rng.uniform(2.35, 2.6)
    warmth, green = rng.uniform(-0.07, 0.07), rng.uniform(-0.02, 0.01)
    return Appearance(
        mirrored=actor % 4 in (2, 3),
        stretch=(scale * rng.uniform(0.95, 1.05), scale * rng.uniform(0.95, 1.05)),
        face_center_px=(
            WIDTH_PX / 2 + rng.uniform(-60, 60),
            305 + rng.uniform(-12, 12),
        ),
        gamma=rng.uniform(0.8, 1.35),
        gain_rgb=(1 + warmth, 1 + green, 1 - warmth),
        suit_hue=int(rng.integers(0, 180)),
        background_rgb=(shade, shade + rng.uniform(-6, 6), shade + rng.uniform(-6, 6)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceTraits:
    """Effect of an emotion on the face in one clip, in portrait pixels and radians."""

    smile: float
    brow: float
    eyes: float
    jaw: float
    rest: float
    tilt_rad: float
    sway: float


def draw_face(rng: np.random.Generator, *, state: float, std: float) -> FaceTraits:
    """Draw the face of one clip.

    Args:
        rng: Random generator of the clip.
        state: Mean of the face state, -1 (down) to 1 (up).
        std: Standard deviation of the mood of a clip around that mean.

    Returns:
        The traits; all of them follow one mood, each with noise of its own.
    """
    mood = rng.normal(state, std)
    smile, brow, eyes, jaw, rest, tilt, sway = np.clip(
        mood + rng.normal(0, 0.25, 7), -1.9, 1.9
    )
    return FaceTraits(
        smile=-2.4 + 4.8 * smile,
        brow=0.3 + 3.4 * brow,
        eyes=0.02 + 0.13 * eyes,
        jaw=-3.2 * jaw,
        rest=float(np.clip(1.2 + 2.6 * rest, 0, 6)),
        tilt_rad=float(np.deg2rad(6 * tilt)),
        sway=0.55 * float(np.exp(0.6 * sway)),
    )


def portrait_to_frame(
    appearance: Appearance,
) -> tuple[Float32[np.ndarray, " xy"], Float32[np.ndarray, " xy"]]:
    """Return the scale and the offset from portrait pixels to frame pixels."""
    scale = np.array(appearance.stretch, np.float32)
    offset = np.array(appearance.face_center_px) - scale * np.array(FACE_CENTER_PX)
    return scale, offset.astype(np.float32)


@lru_cache(maxsize=1)  # clips are written actor by actor
def render_still(appearance: Appearance) -> UInt8[np.ndarray, "rows width"]:
    """Render the portrait on the background of an actor.

    Returns:
        Read-only planes Y, U and V of one 720p frame, one below the other (I420).
    """
    portrait = _cut_out()[:, :: -1 if appearance.mirrored else 1]
    ramp = np.arange(256)[:, None] / 255
    table = np.clip(
        255 * ramp**appearance.gamma * np.array(appearance.gain_rgb), 0, 255
    )
    skin = cv2.LUT(portrait[..., :3], table.astype(np.uint8)[None])
    hue, saturation, value = cv2.split(cv2.cvtColor(skin, cv2.COLOR_RGB2HSV))
    hue = ((hue.astype(int) + appearance.suit_hue) % 180).astype(np.uint8)
    hsv = np.dstack([hue, saturation // 2, value])
    suit = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    collar = np.clip((np.arange(len(portrait)) - 195.0) / 30, 0, 1)[:, None, None]
    dressed = np.dstack([skin + (suit - skin.astype(float)) * collar, portrait[..., 3]])
    scale, offset = portrait_to_frame(appearance)
    enlarged = cv2.warpAffine(
        dressed.astype(np.float32),
        np.column_stack([np.diag(scale), offset]),
        (WIDTH_PX, HEIGHT_PX),
        flags=cv2.INTER_CUBIC,
    )
    alpha = np.clip(enlarged[..., 3:] / 255, 0, 1)
    background = np.array(appearance.background_rgb, np.float32)
    composite = np.clip(background + (enlarged[..., :3] - background) * alpha, 0, 255)
    planes = cv2.cvtColor(composite.astype(np.uint8), cv2.COLOR_RGB2YUV_I420)
    planes.flags.writeable = False
    return np.asarray(planes)


def planes(
    frame: UInt8[np.ndarray, "rows width"],
) -> list[UInt8[np.ndarray, "_ _"]]:
    """Return the planes Y, U and V of an I420 frame, as views."""
    chroma = frame[HEIGHT_PX:].reshape(2, HEIGHT_PX // 2, WIDTH_PX // 2)
    return [frame[:HEIGHT_PX], *chroma]


@cache
def _cut_out() -> UInt8[np.ndarray, "height width rgba"]:
    """Return the upright head and shoulders of the portrait, with soft edges."""
    # Read the file directly: skimage.data would import half of scipy.
    file = files("skimage").joinpath("data", "astronaut.png").read_bytes()
    portrait = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    if portrait is None:
        msg = "skimage/data/astronaut.png is not an image; reinstall scikit-image"
        raise OSError(msg)
    image = np.ascontiguousarray(portrait[:345])  # below is a helmet
    mask = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    mask[:18], mask[:, :10], mask[:, 420:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    for center, axes, angle, kind in (
        ((222, 120), (75, 110), 0, cv2.GC_PR_FGD),
        ((220, 350), (170, 140), 0, cv2.GC_PR_FGD),
        ((224, 112), (42, 66), 0, cv2.GC_FGD),
        ((215, 340), (110, 90), 0, cv2.GC_FGD),
        ((207, 222), (84, 54), 28, cv2.GC_FGD),  # the ring of the collar
    ):
        cv2.ellipse(mask, center, axes, angle, 0, 360, (int(kind),), -1)
    cv2.setRNGSeed(0)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, mask, (0, 0, 1, 1), *model, 2, cv2.GC_INIT_WITH_MASK)
    inside = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside)
    inside = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    # Shrink by one pixel, then blur, so that no rim of the old background is visible.
    inner = cv2.erode(inside, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(255 * inner, (0, 0), 1.2)
    upright = cv2.getRotationMatrix2D((224, 120), 2.9, 1)
    upright[0, 2] -= 24  # to the column of the symmetry axis of the face
    cut_out = cv2.warpAffine(
        np.dstack([image, alpha]), upright, (402, 335), flags=cv2.INTER_CUBIC
    )
    return np.asarray(cut_out)
