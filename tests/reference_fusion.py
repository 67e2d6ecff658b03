"""Reference implementation of the fusion: the paper's equations on whole batches."""

import torch
from torch import Tensor
from torch.nn import functional

from mmder_train.fusion.mel import mel, mfcc
from mmder_train.fusion.rendering import ImageNorm, RenderSettings, colormap_table
from mmder_train.fusion.spectrogram_norms import SPECTROGRAM_NORMS


def spectrogram_images(
    spectrograms: Tensor, settings: RenderSettings, height: int
) -> Tensor:
    """Return spectrograms as 8-bit colors."""
    stored = spectrograms.float()
    if settings.spectrogram == "stft-mel-mfcc":
        planes = [stored, _mel(stored, settings), _mfcc(stored, settings)[:, :, 1:]]
        names = settings.spectrogram.split("-")
        values = [
            _pixels(v, n, settings, height) for v, n in zip(planes, names, strict=True)
        ]
        return torch.stack(values, dim=1)
    if settings.spectrogram == "mfcc":
        stored = stored[:, :, 1:]
    if settings.spectrogram == "mel":
        stored = _mel(stored, settings)
    value = _pixels(stored, settings.spectrogram, settings, height)
    return colormap_table(settings.colormap)[:, value].transpose(0, 1)


def _mel(stored: Tensor, settings: RenderSettings) -> Tensor:
    # Clip by clip: a matrix product may round differently for more clips.
    rate_hz = settings.sample_rate_hz
    return torch.cat([mel(clip[None], sample_rate_hz=rate_hz) for clip in stored])


def _mfcc(stored: Tensor, settings: RenderSettings) -> Tensor:
    rate_hz = settings.sample_rate_hz
    return torch.cat([mfcc(clip[None], sample_rate_hz=rate_hz) for clip in stored])


def _pixels(values: Tensor, name: str, settings: RenderSettings, height: int) -> Tensor:
    scaled = SPECTROGRAM_NORMS[settings.spectrogram_norm](values, name).flip(2)
    value = functional.interpolate(scaled, size=(height, 224), mode="bilinear")
    return (value * 255).round().long()


def face_images(frames: Tensor, height: int) -> Tensor:
    """Return frames as 8-bit colors; pairs of rows are averaged for half the height."""
    images = frames.permute(0, 4, 1, 2, 3)
    if height == 224:
        return images
    return (images[..., ::2, :].int() + images[..., 1::2, :].int()) // 2


def normalize(images: Tensor, norm: ImageNorm) -> Tensor:
    """Normalize 8-bit colors."""
    mean, std = (
        torch.tensor(c).view(3, 1, 1, 1) for c in (norm.mean_rgb, norm.std_rgb)
    )
    return images.float() * (1 / (255 * std)) - mean / std


def fuse(
    frames: Tensor | None,
    spectrograms: Tensor | None,
    permutations: Tensor,
    strategy: str,
    settings: RenderSettings,
) -> Tensor:
    """Return the encoder's input X as the strategy's equation defines it."""
    height = 112 if strategy == "cfas" else 224
    v = a = torch.empty(0)
    if frames is not None:
        v = normalize(face_images(frames, height), settings.image_norm)
    if spectrograms is not None:
        images = spectrogram_images(spectrograms, settings, height)
        a = normalize(images, settings.image_norm)
    if strategy == "rfas":
        clips = zip(torch.cat([v, a], 2), permutations, strict=True)
        return torch.stack([sequence[:, order] for sequence, order in clips])
    return {
        "cfas": lambda: torch.cat([v, a], 3),
        "sfas": lambda: v + a,
        "ffls": lambda: torch.cat([v, a], 2),
        "fslf": lambda: torch.cat([a, v], 2),
        "ofos": lambda: torch.stack([v, a], 3).flatten(2, 3),
        "video": lambda: v,
        "audio": lambda: a,
    }[strategy]()
