"""Render stored frames and spectrograms as normalized images."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from mmder_store.errors import SettingsError
from mmder_train.fusion.spectrogram_norms import SPECTROGRAM_NORMS
from mmder_train.fusion.spectrogram_planes import PLANES
from mmder_train.fusion.types import SIDE_PX, Frames, OutputView, Spectrograms


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageNorm:
    """Mean and standard deviation that normalize colors in [0, 1]."""

    mean_rgb: tuple[float, float, float]
    """Mean of each color, which is subtracted."""
    std_rgb: tuple[float, float, float]
    """Standard deviation of each color, by which the difference is divided."""


_IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGE_NORMS = {
    # ImageNet, with which VideoMAE is pre-trained.
    "imagenet": ImageNorm(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.229, 0.224, 0.225)),
    "half": ImageNorm(mean_rgb=(0.5, 0.5, 0.5), std_rgb=(0.5, 0.5, 0.5)),
    "none": ImageNorm(mean_rgb=(0.0, 0.0, 0.0), std_rgb=(1.0, 1.0, 1.0)),
    # Paper: not specified. The authors' release divides all three colors by the
    # standard deviation of blue.
    "release": ImageNorm(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.225, 0.225, 0.225)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSettings:
    """Settings that turn stored frames and spectrograms into the encoder's images."""

    spectrogram: Literal["stft", "mfcc", "mel", "stft-mel-mfcc"] = "stft"
    """Type of spectrogram, a key of `PLANES`."""
    colormap: Literal["viridis", "gray"] = "viridis"
    """Colormap of the spectrogram's values. ``gray`` if there are three planes."""
    spectrogram_norm: Literal["fixed", "window", "clip", "clip-mvn", "global-mvn"] = (
        "fixed"
    )
    """Normalization of the spectrogram's values, a key of `SPECTROGRAM_NORMS`."""
    image_norm: ImageNorm = IMAGE_NORMS["imagenet"]
    """Normalization of all images."""
    sample_rate_hz: int = 16_000
    """Sample rate of the audio, which the mel scale depends on."""

    def __post_init__(self) -> None:
        """Reject a colormap for an image that has three color planes.

        Raises:
            SettingsError: If there are three planes and a colormap.
        """
        if self.colormap != "gray" and len(PLANES[self.spectrogram]) > 1:
            msg = (
                f"colormap {self.colormap!r}: spectrogram {self.spectrogram!r} fills "
                "the red, green and blue plane; expected 'gray'"
            )
            raise SettingsError(msg)


@cache
def colormap_table(colormap: str) -> UInt8[Tensor, "3 256"]:
    """Return red, green and blue of each of a colormap's 256 entries."""
    if colormap == "gray":
        return torch.arange(256, dtype=torch.uint8).repeat(3, 1)
    from matplotlib import colormaps

    return torch.from_numpy(colormaps[colormap](np.arange(256), bytes=True)[:, :3].T)


def pixel_planes(
    spectrograms: Float[Tensor, "clip window frequency time"],
    *,
    settings: RenderSettings,
    height_px: int = SIDE_PX,
) -> list[Float[Tensor, "clip window height width"]]:
    """Compute the pixels of each spectrogram, whole numbers from 0 to 255.

    Low frequencies are at the bottom. Paper: figures 2 and 4 show viridis images, but
    neither their range nor their coefficients are specified.

    Returns:
        One plane of colormap indices, or three color planes.
    """
    stored, planes = spectrograms.float(), []
    for name, convert in PLANES[settings.spectrogram].items():
        values = convert(stored, settings.sample_rate_hz)
        values = SPECTROGRAM_NORMS[settings.spectrogram_norm](values, name).flip(2)
        # Resized before the colormap is applied: one plane instead of three.
        plane = functional.interpolate(
            values, size=(height_px, SIDE_PX), mode="bilinear"
        )
        planes.append(plane.mul_(255).round_())
    return planes


def write_spectrograms(
    out: OutputView, spectrograms: Spectrograms, *, settings: RenderSettings
) -> None:
    """Write each spectrogram as a normalized image to its part of the input."""
    planes = pixel_planes(spectrograms, settings=settings, height_px=out.shape[3])
    image_norm = settings.image_norm
    if settings.colormap == "gray":
        # One plane is written to all three colors.
        _normalize(out, torch.stack(planes, 1), image_norm)
        return
    (value,) = planes
    table = _normalized_table(settings.colormap, image_norm, out.device).to(out.dtype)
    index = value.int().flatten()
    for colors, plane in zip(table, out.unbind(1), strict=True):
        plane.copy_(colors.index_select(0, index).view_as(plane))


def write_faces(out: OutputView, frames: Frames, *, image_norm: ImageNorm) -> None:
    """Write stored frames, normalized, to their part of the input.

    Paper: III-B specifies CFAS frames of 112x224, but not how they are made. We average
    rows in pairs, which keeps the whole face.
    """
    if out.shape[3] < SIDE_PX:
        upper, lower = frames[:, :, ::2], frames[:, :, 1::2]
        # The floor of their mean, without any number of more than eight bits.
        frames = (upper & lower).add_((upper ^ lower).bitwise_right_shift_(1))
    _normalize(out, frames.permute(0, 4, 1, 2, 3), image_norm)


def _normalize(out: OutputView, pixels: Tensor, image_norm: ImageNorm) -> None:
    """Write colors in [0, 255], normalized. They are computed in 32 bits."""
    factor, shift = _factor_and_shift(image_norm, out.device)
    if out.dtype != torch.float32:
        torch.sub(pixels * factor, shift, out=out)
    elif pixels.is_floating_point():
        torch.mul(pixels, factor, out=out).sub_(shift)
    else:
        # A CPU multiplies bytes by floats at half the speed.
        out.copy_(pixels).mul_(factor).sub_(shift)


@cache
def _factor_and_shift(
    image_norm: ImageNorm, device: torch.device
) -> tuple[Float[Tensor, "3 1 1 1"], Float[Tensor, "3 1 1 1"]]:
    """Return the factor and the subtrahend that normalize colors in [0, 255]."""
    std, mean = (
        torch.tensor(rgb, device=device).view(3, 1, 1, 1)
        for rgb in (image_norm.std_rgb, image_norm.mean_rgb)
    )
    return 1 / (255 * std), mean / std


@cache
def _normalized_table(
    colormap: str, image_norm: ImageNorm, device: torch.device
) -> Float[Tensor, "3 256"]:
    factor, shift = (t.view(3, 1) for t in _factor_and_shift(image_norm, device))
    return colormap_table(colormap).to(device).float().mul_(factor).sub_(shift)
