"""Fusion as the paper's equations read, whole batches at once, in no hurry."""

import torch
from torch import Tensor
from torch.nn import functional

from mmder_train.fusion.mel import mel
from mmder_train.fusion.rendering import (
    ImageNorm,
    RenderSettings,
    colormap_table,
    normalize_db,
)


def spectrogram_pictures(sound: Tensor, look: RenderSettings, height: int) -> Tensor:
    values = sound.float()
    if look.spectrogram == "mfcc":
        values = values[:, :, 1:]
    if look.spectrogram == "mel":
        # One by one: a product of matrices may round otherwise for more clips.
        one = [mel(v[None], sample_rate_hz=look.sample_rate_hz) for v in values]
        values = torch.cat(one)
    values = normalize_db(values, look=look).flip(2)
    value = functional.interpolate(values, size=(height, 224), mode="bilinear")
    painted = colormap_table(look.colormap)[:, (value * 255).round().long()]
    return painted.transpose(0, 1)


def face_pictures(frames: Tensor, height: int) -> Tensor:
    pictures = frames.permute(0, 4, 1, 2, 3)
    if height == 224:
        return pictures
    return (pictures[..., ::2, :].int() + pictures[..., 1::2, :].int()) // 2


def normalised(pictures: Tensor, by: ImageNorm) -> Tensor:
    mean, std = (torch.tensor(c).view(3, 1, 1, 1) for c in (by.mean_rgb, by.std_rgb))
    return pictures.float() * (1 / (255 * std)) - mean / std


def fused(
    frames: Tensor | None,
    sound: Tensor | None,
    places: Tensor,
    name: str,
    look: RenderSettings,
) -> Tensor:
    height = 112 if name == "cfas" else 224
    v = a = torch.empty(0)
    if frames is not None:
        v = normalised(face_pictures(frames, height), look.image_norm)
    if sound is not None:
        a = normalised(spectrogram_pictures(sound, look, height), look.image_norm)
    if name == "rfas":
        clips = zip(torch.cat([v, a], 2), places, strict=True)
        return torch.stack([sequence[:, order] for sequence, order in clips])
    return {
        "cfas": lambda: torch.cat([v, a], 3),
        "sfas": lambda: v + a,
        "ffls": lambda: torch.cat([v, a], 2),
        "fslf": lambda: torch.cat([a, v], 2),
        "ofos": lambda: torch.stack([v, a], 3).flatten(2, 3),
        "video": lambda: v,
        "audio": lambda: a,
    }[name]()
