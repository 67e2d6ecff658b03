"""TODO."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from mmder_train.fusion.mel import mel
from mmder_train.fusion.types import SIDE_PX, Frames, OutputView, Spectrograms

FLAT_DB = 1.0
"""A spectrogram that spans less than this is of one colour: silence stays flat
instead of its rounding noise being stretched over all colours."""
FIXED_DB = {"stft": (-65.0, 35.0), "mel": (-65.0, 35.0), "mfcc": (-60.0, 60.0)}
"""What takes the first and the last colour where the scale is fixed. The loudest of
RAVDESS' takes has 35 dB, and the quiet half of all values, under -65, is silence; of
the cepstral coefficients 1 % lie above."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageNorm:
    """What is taken from a colour in [0, 1], and what the rest is divided by."""

    mean_rgb: tuple[float, float, float]
    std_rgb: tuple[float, float, float]


_IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGE_NORMS = {
    # Of ImageNet, with which VideoMAE is pre-trained.
    "imagenet": ImageNorm(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.229, 0.224, 0.225)),
    "half": ImageNorm(mean_rgb=(0.5, 0.5, 0.5), std_rgb=(0.5, 0.5, 0.5)),
    "none": ImageNorm(mean_rgb=(0.0, 0.0, 0.0), std_rgb=(1.0, 1.0, 1.0)),
    # Paper: nothing. Its release divides all three colours by the blue one's spread.
    "release": ImageNorm(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.225, 0.225, 0.225)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSettings:
    """How stored pictures and sound become what the encoder sees."""

    spectrogram: Literal["mfcc", "stft", "mel"]
    """Which spectrogram it is."""
    colormap: Literal["viridis", "gray"]
    """What its values are painted with."""
    spectrogram_norm: Literal["window", "clip", "fixed"]
    """Over what its values are stretched to the full range of colours."""
    image_norm: ImageNorm = IMAGE_NORMS["imagenet"]
    """What all pictures are normalised with."""
    sample_rate_hz: int = 16_000
    """Rate of the sound; the mel scale wants it."""


@cache
def colormap_table(colour: str) -> UInt8[Tensor, "3 256"]:
    """Give red, green and blue of each of 256 values."""
    if colour == "gray":
        return torch.arange(256, dtype=torch.uint8).repeat(3, 1)
    from matplotlib import colormaps

    return torch.from_numpy(colormaps[colour](np.arange(256), bytes=True)[:, :3].T)


def normalize_db(
    sound: Float[Tensor, "clip window frequency time"], *, look: RenderSettings
) -> Float[Tensor, "clip window frequency time"]:
    """Stretch decibels to [0, 1], per window, per clip or all alike.

    Paper: figure 4 says "normalised" and no more. Taken from the smallest to the
    largest value of each window, loud and quiet clips look alike; on the fixed scale
    equal sound has equal colours, and an stft shows loudness.
    """
    if look.spectrogram_norm == "fixed":
        first, last = FIXED_DB[look.spectrogram]
        return ((sound - first) / (last - first)).clamp(0, 1)
    over = (2, 3) if look.spectrogram_norm == "window" else (1, 2, 3)
    low = sound.amin(over, keepdim=True)
    span = (sound.amax(over, keepdim=True) - low).clamp_min(FLAT_DB)
    return (sound - low) / span


def to_rgb_values(
    sound: Float[Tensor, "clip window frequency time"],
    *,
    look: RenderSettings,
    height_px: int = SIDE_PX,
) -> Float[Tensor, "clip window height width"]:
    """Give the colour of each pixel of each window, a whole number of 0 to 255.

    Low frequencies are at the bottom. Paper: figures 2 and 4 show viridis pictures
    and say neither their scale nor which coefficients they hold. The 0th (loudness)
    spans ten times the range of the others and would leave them one colour: it is
    left out, as in the release.
    """
    values = sound.float()
    if look.spectrogram == "mfcc":
        values = values[:, :, 1:]
    if look.spectrogram == "mel":
        values = mel(values, sample_rate_hz=look.sample_rate_hz)
    values = normalize_db(values, look=look).flip(2)
    size = (height_px, SIDE_PX)
    # Resized before it is painted: one plane to resize instead of three.
    value = functional.interpolate(values, size=size, mode="bilinear")
    return value.mul_(255).round_()


def write_spectrograms(
    into: OutputView, sound: Spectrograms, *, look: RenderSettings
) -> None:
    """Paint each sound window where its picture lies in the input, normalised."""
    value = to_rgb_values(sound, look=look, height_px=into.shape[3])
    if look.colormap == "gray":
        factor, shift = _line(look.image_norm, into.device)
        torch.mul(value[:, None], factor, out=into).sub_(shift)
        return
    table = _normalised_table(look.colormap, look.image_norm, into.device)
    index = value.int().flatten()
    for plane, painted in zip(table, into.unbind(1), strict=True):
        painted.copy_(plane.index_select(0, index).view_as(painted))


def write_faces(into: OutputView, frames: Frames, *, by: ImageNorm) -> None:
    """Write stored frames where they lie in the input, normalised.

    Paper: III-B gives CFAS frames of 112x224 and not how: we average rows in pairs,
    which keeps the whole face.
    """
    if into.shape[3] < SIDE_PX:
        upper, lower = frames[:, :, ::2], frames[:, :, 1::2]
        # Their floored mean, with no number of more than eight bits.
        frames = (upper & lower).add_((upper ^ lower).bitwise_right_shift_(1))
    factor, shift = _line(by, into.device)
    into.copy_(frames.permute(0, 4, 1, 2, 3)).mul_(factor).sub_(shift)


@cache
def _line(
    by: ImageNorm, device: torch.device
) -> tuple[Float[Tensor, "3 1 1 1"], Float[Tensor, "3 1 1 1"]]:
    """Give what a colour in [0, 255] is multiplied by, and what is then taken off."""
    std, mean = (
        torch.tensor(rgb, device=device).view(3, 1, 1, 1)
        for rgb in (by.std_rgb, by.mean_rgb)
    )
    return 1 / (255 * std), mean / std


@cache
def _normalised_table(
    colour: str, by: ImageNorm, device: torch.device
) -> Float[Tensor, "3 256"]:
    factor, shift = (of.view(3, 1) for of in _line(by, device))
    return colormap_table(colour).to(device).float().mul_(factor).sub_(shift)
