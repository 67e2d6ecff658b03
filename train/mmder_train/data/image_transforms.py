"""Random transforms of training faces: flip, crop and color jitter.

All frames of a clip are changed alike. Images are 8-bit before and after.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional

from mmder_train.fusion.types import SIDE_PX, Frames

MAX_ASPECT = 4 / 3
"""Maximum ratio of the longer to the shorter side of a crop."""
GRAY = (0.299, 0.587, 0.114)
"""Weight of red, green and blue in brightness (ITU-R BT.601)."""


def flip(frames: Frames, *, probability: float) -> Frames:
    """Mirror some clips left to right."""
    mirrored = torch.rand(len(frames), device=frames.device) < probability
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), frames.flip(3), frames)


def crop(frames: Frames, *, min_area: float) -> Frames:
    """Crop each clip at random and enlarge the crop to the full size.

    The crop covers a fraction of the area from `min_area` to 1. The fraction, the
    logarithm of the aspect ratio and the position are drawn uniformly, as for ImageNet
    (Szegedy et al., 2015).
    """
    out = torch.empty_like(frames)
    drawn = torch.rand(len(frames), 4, device=frames.device).tolist()
    for target, clip, (area, aspect, down, right) in zip(
        out, frames, drawn, strict=True
    ):
        side = SIDE_PX * math.sqrt(min_area + (1 - min_area) * area)
        stretch = MAX_ASPECT ** (aspect - 0.5)
        height = min(SIDE_PX, round(side / stretch))
        width = min(SIDE_PX, round(side * stretch))
        cropped = functional.resized_crop(
            clip.permute(0, 3, 1, 2),
            round(down * (SIDE_PX - height)),
            round(right * (SIDE_PX - width)),
            height,
            width,
            [SIDE_PX, SIDE_PX],
        )
        target.copy_(cropped.permute(0, 2, 3, 1))
    return out


def jitter(frames: Frames, *, strength: float) -> Frames:
    """Change brightness, contrast and saturation of each clip at random.

    Each is multiplied by a factor from ``1 - strength`` to ``1 + strength``. Contrast
    is relative to the mean gray of the clip, so that light does not flicker from frame
    to frame.
    """
    drawn = torch.rand(3, len(frames), device=frames.device)
    factor = 1 + strength * drawn.mul(2).sub(1)
    return recolor(frames, *factor)


def recolor(
    frames: Frames,
    brightness: Float[Tensor, " clip"],
    contrast: Float[Tensor, " clip"],
    saturation: Float[Tensor, " clip"],
) -> Frames:
    """Multiply brightness, then contrast, then saturation of each clip.

    All three are linear in red, green and blue, so a clip needs one matrix and one
    vector.
    """
    gray = torch.tensor(GRAY, device=frames.device)
    pixels = frames.flatten(1, 3)
    # A sum of whole numbers is exact for any order of the frames.
    mean = pixels.sum(1) / pixels.shape[1] @ gray
    eye = torch.eye(3, device=frames.device)
    b, c, s = (f[:, None, None] for f in (brightness, contrast, saturation))
    matrices = b * c * (s * eye + (1 - s) * gray[:, None])
    # The mean is gray, so saturation does not change it.
    shifts = b * (1 - c) * mean[:, None, None]
    out = torch.empty_like(pixels)
    for target, clip, matrix, shift in zip(out, pixels, matrices, shifts, strict=True):
        target.copy_((clip.float() @ matrix).add_(shift).round_().clamp_(0, 255))
    return out.view_as(frames)
