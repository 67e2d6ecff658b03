"""Faces varied at random in training: which side is left, how near, in what light.

All frames of a clip are changed alike; pictures are of 8 bits a colour before and
after.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional

from mmder_train.fusion.types import SIDE_PX, Frames

WIDEST = 4 / 3
"""A cropped part is at most this many times as wide as high, or as high as wide."""
GREY = (0.299, 0.587, 0.114)
"""Share of each colour in brightness (ITU-R BT.601)."""


def flip(frames: Frames, *, chance: float) -> Frames:
    """Exchange left and right of some clips."""
    mirrored = torch.rand(len(frames), device=frames.device) < chance
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), frames.flip(3), frames)


def crop(frames: Frames, *, least: float) -> Frames:
    """Enlarge one part of each clip, of `least` to all of the area.

    Area and logarithm of the shape are drawn evenly, as for ImageNet (Szegedy et al.,
    2015), and so is the part's place.
    """
    found = torch.empty_like(frames)
    drawn = torch.rand(len(frames), 4, device=frames.device).tolist()
    for into, clip, (area, shape, down, right) in zip(
        found, frames, drawn, strict=True
    ):
        side = SIDE_PX * math.sqrt(least + (1 - least) * area)
        wider = WIDEST ** (shape - 0.5)
        height = min(SIDE_PX, round(side / wider))
        width = min(SIDE_PX, round(side * wider))
        part = functional.resized_crop(
            clip.permute(0, 3, 1, 2),
            round(down * (SIDE_PX - height)),
            round(right * (SIDE_PX - width)),
            height,
            width,
            [SIDE_PX, SIDE_PX],
        )
        into.copy_(part.permute(0, 2, 3, 1))
    return found


def jitter(frames: Frames, *, by: float) -> Frames:
    """Change brightness, contrast and saturation of each clip.

    Each is multiplied by a factor of ``1 - by`` to ``1 + by``. Contrast is around the
    clip's mean grey, so that light does not flicker from frame to frame.
    """
    factor = 1 + by * torch.rand(3, len(frames), device=frames.device).mul(2).sub(1)
    return recolor(frames, *factor)


def recolor(
    frames: Frames,
    brightness: Float[Tensor, " clip"],
    contrast: Float[Tensor, " clip"],
    saturation: Float[Tensor, " clip"],
) -> Frames:
    """Multiply brightness, then contrast, then saturation of each clip.

    All three are linear in red, green and blue: one matrix and one vector a clip.
    """
    grey = torch.tensor(GREY, device=frames.device)
    pixels = frames.flatten(1, 3)
    # Summed as whole numbers: exact, in whatever order the frames are.
    mean = pixels.sum(1) / pixels.shape[1] @ grey
    eye = torch.eye(3, device=frames.device)
    b, c, s = (f[:, None, None] for f in (brightness, contrast, saturation))
    turn = b * c * (s * eye + (1 - s) * grey[:, None])
    # The mean is grey: saturation leaves it where it is.
    shift = b * (1 - c) * mean[:, None, None]
    found = torch.empty_like(pixels)
    for into, clip, t, more in zip(found, pixels, turn, shift, strict=True):
        into.copy_((clip.float() @ t).add_(more).round_().clamp_(0, 255))
    return found.view_as(frames)
