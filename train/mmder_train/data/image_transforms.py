"""Random transforms of training faces: flip, crop, color jitter and erasing.

All frames of a clip are changed alike. Images are 8-bit before and after. On a GPU no
transform copies a number to the CPU, which would wait for the GPU.
"""

from collections.abc import Iterator
from functools import cache

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor
from torchvision.transforms.v2 import functional

from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.fusion.types import SIDE_PX, Frames

MAX_ASPECT = 4 / 3
"""Maximum ratio of the longer to the shorter side of a crop."""
ERASED_AREA = (0.02, 1 / 3)
"""Minimum and maximum fraction of an image's area that is erased."""
ERASED_ASPECT = 10 / 3
"""Maximum ratio of the longer to the shorter side of an erased box."""
GRAY = (0.299, 0.587, 0.114)
"""Weight of red, green and blue in brightness (ITU-R BT.601)."""


def flip(frames: Frames, *, probability: float) -> Frames:
    """Mirror some clips left to right."""
    mirrored = torch.rand(len(frames), device=frames.device) < probability
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), mirror(frames), frames)


def mirror(frames: Frames) -> Frames:
    """Mirror all clips left to right."""
    return frames.flip(3)


def crop(frames: Frames, *, min_area: float) -> Frames:
    """Crop each clip at random and enlarge the crop to the full size.

    The crop covers a fraction of the area from `min_area` to 1. The fraction, the
    logarithm of the aspect ratio and the position are drawn uniformly, as for ImageNet
    (Szegedy et al., 2015).
    """
    drawn = torch.rand(len(frames), 4, device=frames.device).double()
    area, aspect, down, right = drawn.unbind(1)
    side = SIDE_PX * (min_area + (1 - min_area) * area).sqrt()
    stretch = MAX_ASPECT ** (aspect - 0.5)
    height = (side / stretch).round().clamp(max=SIDE_PX)
    width = (side * stretch).round().clamp(max=SIDE_PX)
    top = (down * (SIDE_PX - height)).round()
    left = (right * (SIDE_PX - width)).round()
    on_cpu = frames.device.type == "cpu"
    resize = resize_boxes_one_by_one if on_cpu else resize_boxes
    return resize(frames, top=top, left=left, height=height, width=width)


def resize_boxes(
    frames: Frames,
    *,
    top: Float64[Tensor, " clip"],
    left: Float64[Tensor, " clip"],
    height: Float64[Tensor, " clip"],
    width: Float64[Tensor, " clip"],
) -> Frames:
    """Enlarge a box of each clip to the full size, with bilinear interpolation.

    All clips are resized by two matrix products, which a GPU computes without waiting.
    `resize_boxes_one_by_one` computes the same except for rounding.

    Args:
        frames: Faces.
        top: First row of each box, a whole number.
        left: First column of each box.
        height: Number of rows of each box.
        width: Number of columns of each box.
    """
    planes = frames.permute(0, 1, 4, 2, 3).float()
    rows = _interpolation(top, height)[:, None, None]
    columns = _interpolation(left, width)[:, None, None]
    resized = (rows @ planes @ columns.mT).round_().clamp_(0, 255)
    return resized.byte().permute(0, 1, 3, 4, 2).contiguous()


def resize_boxes_one_by_one(
    frames: Frames, **boxes: Float64[Tensor, " clip"]
) -> Frames:
    """Do what `resize_boxes` does, faster on a CPU: torchvision computes in 8 bits."""
    out = torch.empty_like(frames)
    for number, (target, clip) in enumerate(zip(out, frames, strict=True)):
        box = {name: int(values[number]) for name, values in boxes.items()}
        resized = functional.resized_crop(
            clip.permute(0, 3, 1, 2), **box, size=[SIDE_PX, SIDE_PX]
        )
        target.copy_(resized.permute(0, 2, 3, 1))
    return out


def _interpolation(
    start: Float64[Tensor, " clip"], length: Float64[Tensor, " clip"]
) -> Float[Tensor, "clip target source"]:
    """Compute the weight of every source pixel in every target pixel of one axis."""
    pixels = torch.arange(SIDE_PX, device=start.device, dtype=torch.float64)
    center = (pixels + 0.5) * (length[:, None] / SIDE_PX) - 0.5
    # At the edge of a box, its outermost pixel is repeated.
    center = center.clamp(min=0).minimum(length[:, None] - 1)
    distance = (center + start[:, None])[:, :, None] - pixels
    return (1 - distance.abs()).clamp_(min=0).float()


def _chunks(frames: Frames) -> Iterator[slice]:
    """Yield all clips at once on a GPU, and one by one on a CPU, for its caches."""
    step = 1 if frames.device.type == "cpu" else max(1, len(frames))
    for start in range(0, len(frames), step):
        yield slice(start, start + step)


def erase(frames: Frames, *, probability: float) -> Frames:
    """Replace a box of some clips by noise (random erasing, arXiv 1708.04896).

    The box is the same in all frames of a clip. Every pixel is drawn from a normal
    distribution with the mean and standard deviation of ImageNet. Area, aspect ratio
    and noise are those of VideoMAE (``random_erasing.py``, mode ``pixel``).
    """
    clips = len(frames)
    drawn = torch.rand(5, clips, device=frames.device).double()
    chosen, area, aspect, down, right = drawn
    area = (ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * area) * SIDE_PX**2
    ratio = ERASED_ASPECT ** (1 - 2 * aspect)
    height = (area * ratio).sqrt().round().clamp(max=SIDE_PX - 1)
    width = (area / ratio).sqrt().round().clamp(max=SIDE_PX - 1)
    height = height * (chosen < probability)
    rows = _inside((down * (SIDE_PX - height + 1)).floor(), height)
    columns = _inside((right * (SIDE_PX - width + 1)).floor(), width)
    mean, std = _noise_moments(frames.device)
    out = torch.empty_like(frames)
    for chunk in _chunks(frames):
        noise = torch.randn(frames[chunk].shape, device=frames.device)
        noise = noise.mul_(std).add_(mean).round_().clamp_(0, 255).byte()
        box = rows[chunk, None, :, None, None] & columns[chunk, None, None, :, None]
        out[chunk] = torch.where(box, noise, frames[chunk])
    return out


def _inside(
    start: Float64[Tensor, " clip"], length: Float64[Tensor, " clip"]
) -> Bool[Tensor, "clip pixel"]:
    """Return which pixels of an axis are inside each clip's range."""
    pixels = torch.arange(SIDE_PX, device=start.device)
    return (pixels >= start[:, None]) & (pixels < (start + length)[:, None])


@cache
def _noise_moments(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of ImageNet's colors, in [0, 255]."""
    norm = IMAGE_NORMS["imagenet"]
    mean, std = (
        torch.tensor(rgb, device=device) * 255 for rgb in (norm.mean_rgb, norm.std_rgb)
    )
    return mean, std


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
    gray = _gray(frames.device)
    pixels = frames.flatten(1, 3)
    # A sum of whole numbers is exact for any order of the frames.
    mean = pixels.sum(1) / pixels.shape[1] @ gray
    eye = torch.eye(3, device=frames.device)
    b, c, s = (f[:, None, None] for f in (brightness, contrast, saturation))
    matrices = b * c * (s * eye + (1 - s) * gray[:, None])
    # The mean is gray, so saturation does not change it.
    shifts = b * (1 - c) * mean[:, None, None]
    out = torch.empty_like(pixels)
    for chunk in _chunks(frames):
        colors = torch.baddbmm(shifts[chunk], pixels[chunk].float(), matrices[chunk])
        out[chunk] = colors.round_().clamp_(0, 255)
    return out.view_as(frames)


@cache
def _gray(device: torch.device) -> Float[Tensor, " rgb"]:
    return torch.tensor(GRAY, device=device)
