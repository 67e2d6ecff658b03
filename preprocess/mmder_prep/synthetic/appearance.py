"""Who is in a clip of the sample corpus, and with what face: what is drawn, at rest.

All actors are one portrait in other proportions and colours. It is cut out once per
process, and laid once per actor on a plain background.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

PORTRAIT = "skimage.data.astronaut() (NASA, Eileen Collins, public domain)"
WIDTH_PX, HEIGHT_PX = 1280, 720
MIDDLE_PX = (200.5, 120.0)  # of the face in the cut-out, which mirrors about it


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What stays with an actor: the portrait in other proportions and colours.

    Attributes:
        mirrored: Whether left and right are swapped.
        stretch: Frame pixels a portrait pixel, along x and y.
        place_px: Where the middle of the face is in the frame, x and y.
        gamma: Of the skin's brightness.
        gain_rgb: Of the skin's colour.
        suit_hue: How far the hue of the suit is turned, of 180.
        background_rgb: The plain colour behind the actor.
    """

    mirrored: bool
    stretch: tuple[float, float]
    place_px: tuple[float, float]
    gamma: float
    gain_rgb: tuple[float, float, float]
    suit_hue: int
    background_rgb: tuple[float, float, float]


def draw_look(rng: np.random.Generator, *, actor: int) -> Look:
    """Draw the look of an actor; every second pair of them is mirrored."""
    shade, scale = rng.uniform(196, 236), rng.uniform(2.35, 2.6)
    warmth, green = rng.uniform(-0.07, 0.07), rng.uniform(-0.02, 0.01)
    return Look(
        mirrored=actor % 4 in (2, 3),
        stretch=(scale * rng.uniform(0.95, 1.05), scale * rng.uniform(0.95, 1.05)),
        place_px=(WIDTH_PX / 2 + rng.uniform(-60, 60), 305 + rng.uniform(-12, 12)),
        gamma=rng.uniform(0.8, 1.35),
        gain_rgb=(1 + warmth, 1 + green, 1 - warmth),
        suit_hue=int(rng.integers(0, 180)),
        background_rgb=(shade, shade + rng.uniform(-6, 6), shade + rng.uniform(-6, 6)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceTraits:
    """What a feeling does to a face in one clip, in portrait pixels and radians."""

    smile: float
    brow: float
    eyes: float
    jaw: float
    rest: float
    tilt_rad: float
    sway: float


def draw_face(rng: np.random.Generator, *, state: float, spread: float) -> FaceTraits:
    """Draw the face of one clip.

    Args:
        rng: The randomness of the clip.
        state: The mean of the face state, -1 (down) to 1 (up).
        spread: Standard deviation of the clip's mood about that mean.

    Returns:
        The traits; all of them follow one mood, each with a scatter of its own.
    """
    mood = rng.normal(state, spread)
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
    look: Look,
) -> tuple[Float32[np.ndarray, " xy"], Float32[np.ndarray, " xy"]]:
    """Return the scale and the offset that take portrait pixels to frame pixels."""
    scale = np.array(look.stretch, np.float32)
    offset = np.array(look.place_px) - scale * np.array(MIDDLE_PX)
    return scale, offset.astype(np.float32)


@lru_cache(maxsize=1)  # clips come actor by actor
def lay_out(look: Look) -> UInt8[np.ndarray, "rows width"]:
    """Lay the portrait on the background of an actor.

    Returns:
        The planes Y, U and V of one 720p frame below each other (I420), read-only.
    """
    cut = _cut_out()[:, :: -1 if look.mirrored else 1]
    ramp = np.arange(256)[:, None] / 255
    table = np.clip(255 * ramp**look.gamma * np.array(look.gain_rgb), 0, 255)
    skin = cv2.LUT(cut[..., :3], table.astype(np.uint8)[None])
    hue, saturation, value = cv2.split(cv2.cvtColor(skin, cv2.COLOR_RGB2HSV))
    hue = ((hue.astype(int) + look.suit_hue) % 180).astype(np.uint8)
    hsv = np.dstack([hue, saturation // 2, value])
    suit = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    collar = np.clip((np.arange(len(cut)) - 195.0) / 30, 0, 1)[:, None, None]
    dressed = np.dstack([skin + (suit - skin.astype(float)) * collar, cut[..., 3]])
    scale, offset = portrait_to_frame(look)
    large = cv2.warpAffine(
        dressed.astype(np.float32),
        np.column_stack([np.diag(scale), offset]),
        (WIDTH_PX, HEIGHT_PX),
        flags=cv2.INTER_CUBIC,
    )
    alpha = np.clip(large[..., 3:] / 255, 0, 1)
    behind = np.array(look.background_rgb, np.float32)
    whole = np.clip(behind + (large[..., :3] - behind) * alpha, 0, 255)
    planes = cv2.cvtColor(whole.astype(np.uint8), cv2.COLOR_RGB2YUV_I420)
    planes.flags.writeable = False
    return np.asarray(planes)


def planes(
    frame: UInt8[np.ndarray, "rows width"],
) -> list[UInt8[np.ndarray, "_ _"]]:
    """Return the planes Y, U and V of an I420 frame, as views."""
    colour = frame[HEIGHT_PX:].reshape(2, HEIGHT_PX // 2, WIDTH_PX // 2)
    return [frame[:HEIGHT_PX], *colour]


@cache
def _cut_out() -> UInt8[np.ndarray, "height width rgba"]:
    """Return head and shoulders of the portrait, upright and softly cut out."""
    # The file itself: skimage.data would bring half of scipy along.
    file = files("skimage").joinpath("data", "astronaut.png").read_bytes()
    whole = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    if whole is None:
        msg = "skimage/data/astronaut.png is no picture; reinstall scikit-image"
        raise OSError(msg)
    picture = np.ascontiguousarray(whole[:345])  # below: a helmet
    mask = np.full(picture.shape[:2], cv2.GC_PR_BGD, np.uint8)
    mask[:18], mask[:, :10], mask[:, 420:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    for centre, axes, angle, kind in (
        ((222, 120), (75, 110), 0, cv2.GC_PR_FGD),
        ((220, 350), (170, 140), 0, cv2.GC_PR_FGD),
        ((224, 112), (42, 66), 0, cv2.GC_FGD),
        ((215, 340), (110, 90), 0, cv2.GC_FGD),
        ((207, 222), (84, 54), 28, cv2.GC_FGD),  # the ring of the collar
    ):
        cv2.ellipse(mask, centre, axes, angle, 0, 360, (int(kind),), -1)
    cv2.setRNGSeed(0)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, mask, (0, 0, 1, 1), *model, 2, cv2.GC_INIT_WITH_MASK)
    inside = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside)
    inside = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    # One pixel in, then soft: what is left of the old background shows no rim.
    inner = cv2.erode(inside, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(255 * inner, (0, 0), 1.2)
    upright = cv2.getRotationMatrix2D((224, 120), 2.9, 1)
    upright[0, 2] -= 24  # to the column about which the face is symmetric
    softly = cv2.warpAffine(
        np.dstack([picture, alpha]), upright, (402, 335), flags=cv2.INTER_CUBIC
    )
    return np.asarray(softly)
