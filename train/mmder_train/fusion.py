"""Pictures and sound to the encoder's input, on tensors. Nothing here opens a file.

Axis order is clip, rgb, frame, height, width; a batch goes through whole, and all
runs on the device of what is given. ``v`` and ``a`` are the paper's V and A:
pictures of 8 bits a colour, a quarter of the memory of floats, until `normalised`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

Pictures = UInt8[Tensor, "clip rgb frame height width"]
Input = Float[Tensor, "clip 3 16 224 224"]
Places = Int64[Tensor, "clip place"]

PLACES = 16
"""Frames that the encoder takes."""
SIDE_PX = 224
FLAT_DB = 1.0
"""A spectrogram that spans less than this is of one colour: silence stays flat
instead of its rounding noise being stretched over all colours."""
FIXED_DB = {"stft": (-65.0, 35.0), "mel": (-65.0, 35.0), "mfcc": (-60.0, 60.0)}
"""What takes the first and the last colour where the scale is fixed. The loudest of
RAVDESS' takes has 35 dB, and the quiet half of all values, under -65, is silence; of
the cepstral coefficients 1 % lie above."""
STORED = {"stft": "stft", "mel": "stft", "mfcc": "mfcc"}
"""Which array of the store a spectrogram is painted from."""
MELS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What is taken from a colour in [0, 1], and what the rest is divided by."""

    mean_rgb: tuple[float, float, float]
    std_rgb: tuple[float, float, float]


_IMAGENET_MEAN = (0.485, 0.456, 0.406)
STATISTICS = {
    # Of ImageNet, with which VideoMAE is pre-trained.
    "imagenet": Statistics(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.229, 0.224, 0.225)),
    "half": Statistics(mean_rgb=(0.5, 0.5, 0.5), std_rgb=(0.5, 0.5, 0.5)),
    "none": Statistics(mean_rgb=(0.0, 0.0, 0.0), std_rgb=(1.0, 1.0, 1.0)),
    # Paper: nothing. Its release divides all three colours by the blue one's spread.
    "release": Statistics(mean_rgb=_IMAGENET_MEAN, std_rgb=(0.225, 0.225, 0.225)),
}


Fuse = Callable[[Tensor | None, Tensor | None, Tensor, Statistics], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How stored pictures and sound become what the encoder sees."""

    audio: Literal["mfcc", "stft", "mel"]
    """Which spectrogram it is."""
    colour: Literal["viridis", "grey"]
    """What its values are painted with."""
    scale: Literal["window", "clip", "fixed"]
    """Over what its values are stretched to the full range of colours."""
    statistics: Statistics = STATISTICS["imagenet"]
    """What all pictures are normalised with."""
    sample_rate_hz: int = 16_000
    """Rate of the sound; the mel scale wants it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """One way to put pictures and sound into sixteen frames."""

    name: str
    equation: str
    """Where the paper defines it."""
    frames: Literal[0, 8, 16]
    """Pictures taken from a clip."""
    windows: Literal[0, 8, 16]
    """Sound windows taken from a clip."""
    fuse: Fuse
    """Pictures of V and of A, and places, to the encoder's input."""
    height_px: int = SIDE_PX
    """Height of each picture before fusion."""


@cache
def colour_table(colour: str) -> UInt8[Tensor, "3 256"]:
    """Give red, green and blue of each of 256 values."""
    if colour == "grey":
        return torch.arange(256, dtype=torch.uint8).repeat(3, 1)
    from matplotlib import colormaps

    return torch.from_numpy(colormaps[colour](np.arange(256), bytes=True)[:, :3].T)


def scaled(
    sound: Float[Tensor, "clip window frequency time"], *, look: Look
) -> Float[Tensor, "clip window frequency time"]:
    """Stretch decibels to [0, 1], per window, per clip or all alike.

    Paper: figure 4 says "normalised" and no more. Taken from the smallest to the
    largest value of each window, loud and quiet clips look alike; on the fixed scale
    equal sound has equal colours, and an stft shows loudness.
    """
    if look.scale == "fixed":
        first, last = FIXED_DB[look.audio]
        return ((sound - first) / (last - first)).clamp(0, 1)
    over = (2, 3) if look.scale == "window" else (1, 2, 3)
    low = sound.amin(over, keepdim=True)
    span = (sound.amax(over, keepdim=True) - low).clamp_min(FLAT_DB)
    return (sound - low) / span


@cache
def mel_bands(bins: int, sample_rate_hz: int) -> Float[Tensor, "mel bin"]:
    """Give the weight of every bin of an STFT in each of 64 mel bands; they sum to 1.

    Triangles on Slaney's scale (Auditory Toolbox, 1998): straight up to 1 kHz, then
    27 steps for each factor of 6.4. A band's power is thus the mean of its bins'.
    """
    top_hz = sample_rate_hz / 2
    step, corner_hz, corner = 200 / 3, 1000.0, 15.0
    factor = np.log(6.4) / 27
    top = (
        top_hz / step
        if top_hz < corner_hz
        else corner + np.log(top_hz / corner_hz) / factor
    )
    mel = np.linspace(0, top, MELS + 2)
    high = corner_hz * np.exp(factor * (mel - corner))
    edge_hz = np.where(mel < corner, mel * step, high)
    low, mid, last = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    bin_hz = np.linspace(0, top_hz, bins)
    sides = (bin_hz - low) / (mid - low), (last - bin_hz) / (last - mid)
    weight = np.minimum(*sides).clip(min=0)
    return torch.from_numpy(weight / weight.sum(axis=1, keepdims=True)).float()


def mel(
    stft: Float[Tensor, "clip window bin time"], *, sample_rate_hz: int
) -> Float[Tensor, "clip window mel time"]:
    """Give the mel spectrogram of an STFT, both in decibels."""
    bands = mel_bands(stft.shape[2], sample_rate_hz).to(stft.device)
    return (bands @ torch.pow(10.0, stft / 10)).log10() * 10


def spectrogram_pictures(
    sound: Float[Tensor, "clip window frequency time"],
    *,
    look: Look,
    height_px: int = SIDE_PX,
) -> Pictures:
    """Paint each sound window as a picture, low frequencies at the bottom.

    Paper: figures 2 and 4 show viridis pictures and say neither their scale nor
    which coefficients they hold. The 0th (loudness) spans ten times the range of
    the others and would leave them one colour: it is left out, as in the release.
    """
    values = sound.float()
    if look.audio == "mfcc":
        values = values[:, :, 1:]
    if look.audio == "mel":
        values = mel(values, sample_rate_hz=look.sample_rate_hz)
    values = scaled(values, look=look).flip(2)
    size = (height_px, SIDE_PX)
    # Resized before it is painted: one plane to resize instead of three.
    value = functional.interpolate(values, size=size, mode="bilinear")
    index = value.mul_(255).round_().int()
    table = colour_table(look.colour).to(index.device)
    planes = [plane.index_select(0, index.flatten()) for plane in table]
    return torch.stack([plane.view_as(index) for plane in planes], dim=1)


def frame_pictures(
    frames: UInt8[Tensor, "clip frame y x 3"], *, height_px: int = SIDE_PX
) -> Pictures:
    """Give stored frames, squeezed to half their height if asked.

    Paper: III-B gives CFAS frames of 112x224 and not how: we average rows in pairs,
    which keeps the whole face.
    """
    pictures = frames.permute(0, 4, 1, 2, 3).contiguous()
    rows = SIDE_PX // height_px
    if rows == 1:
        return pictures
    clip, rgb, frame, _, width = pictures.shape
    parts = pictures.view(clip, rgb, frame, height_px, rows, width)
    return parts.sum(4, dtype=torch.int16).floor_divide_(rows).byte()


def normalised(
    pictures: Pictures, by: Statistics
) -> Float[Tensor, "clip rgb frame height width"]:
    """Give floats: from [0, 255] to mean 0 and spread 1 where `by` is true of them."""
    std = pictures.new_tensor(by.std_rgb, dtype=torch.float32).view(3, 1, 1, 1)
    mean = pictures.new_tensor(by.mean_rgb, dtype=torch.float32).view(3, 1, 1, 1)
    return pictures.float().mul_(1 / (255 * std)).sub_(mean / std)


def _both(v: Tensor | None, a: Tensor | None) -> tuple[Tensor, Tensor]:
    assert v is not None
    assert a is not None
    return v, a


def cfas(v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X_i = Concat(V_i, A_i): the face above its spectrogram, 112 rows each."""
    return normalised(torch.cat(_both(v, a), dim=3), by)


def sfas(v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X_i = Add(Norm(V_i), Norm(A_i)), in float.

    Paper: "will be normalized, and then directly added"; which norm is open. We take
    the encoder's own (`Look.statistics`) for both, and the plain sum.
    """
    v, a = _both(v, a)
    return normalised(v, by).add_(normalised(a, by))


def _sequence(v: Tensor | None, a: Tensor | None) -> Tensor:
    return torch.cat(_both(v, a), dim=2)


def ffls(v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X = Seq(V_1 .. V_8, A_1 .. A_8): all faces, then all spectrograms."""
    return normalised(_sequence(v, a), by)


def fslf(v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X = Seq(A_1 .. A_8, V_1 .. V_8): all spectrograms, then all faces."""
    return normalised(_sequence(a, v), by)


def ofos(v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X = Seq(V_1, A_1 .. V_8, A_8): a face and its spectrogram in turn."""
    return normalised(torch.stack(_both(v, a), dim=3).flatten(2, 3), by)


def rfas(
    v: Pictures | None, a: Pictures | None, places: Places, by: Statistics
) -> Input:
    """X = Rand(V_1 .. V_8, A_1 .. A_8): place p shows frame ``places[p]`` of FFLS.

    Paper: "randomly sorting" leaves open how often. We draw once a clip (`places_of`),
    as the release does.
    """
    ordered = _sequence(v, a)
    clip = torch.arange(len(places), device=places.device)[:, None]
    return normalised(ordered.transpose(1, 2)[clip, places].transpose(1, 2), by)


def video(v: Pictures | None, _a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X_i = V_i: the faces alone."""
    assert v is not None
    return normalised(v, by)


def audio(_v: Pictures | None, a: Pictures | None, _: Places, by: Statistics) -> Input:
    """X_i = A_i: the spectrograms alone."""
    assert a is not None
    return normalised(a, by)


STRATEGIES = {
    s.name: s
    for s in (
        Strategy(
            name="cfas",
            equation="eq. 1",
            frames=16,
            windows=16,
            fuse=cfas,
            height_px=SIDE_PX // 2,
        ),
        Strategy(name="sfas", equation="eq. 2", frames=16, windows=16, fuse=sfas),
        Strategy(name="ffls", equation="eq. 3", frames=8, windows=8, fuse=ffls),
        Strategy(name="fslf", equation="eq. 4", frames=8, windows=8, fuse=fslf),
        Strategy(name="ofos", equation="eq. 5", frames=8, windows=8, fuse=ofos),
        Strategy(name="rfas", equation="eq. 6", frames=8, windows=8, fuse=rfas),
        Strategy(name="video", equation="table I, V", frames=16, windows=0, fuse=video),
        Strategy(name="audio", equation="table I, A", frames=0, windows=16, fuse=audio),
    )
}


def places_of(clip_ids: Sequence[str], *, seed: int, epoch: int = 0) -> Places:
    """Draw the order of RFAS for each clip from the seed, its name and the epoch.

    The order of a clip does not depend on the clips around it.
    """
    return torch.from_numpy(
        np.stack(
            [
                np.random.default_rng(
                    list(hashlib.sha256(f"{seed}/{epoch}/{name}".encode()).digest())
                ).permutation(PLACES)
                for name in clip_ids
            ]
        )
    )


def fused(
    frames: UInt8[Tensor, "clip frame 224 224 3"] | None,
    sound: Float[Tensor, "clip window frequency time"] | None,
    places: Places,
    *,
    strategy: Strategy,
    look: Look,
) -> Input:
    """Give the encoder's input X of a batch of stored clips.

    Args:
        frames: As many as the strategy takes, None where it takes none.
        sound: Windows of the same instants, None where the strategy takes none.
        places: Order of the sixteen frames, used by RFAS alone.
        strategy: A row of `STRATEGIES`.
        look: How spectrograms are painted, and all pictures normalised.
    """
    height_px = strategy.height_px
    v = a = None
    if frames is not None:
        v = frame_pictures(frames, height_px=height_px)
    if sound is not None:
        a = spectrogram_pictures(sound, look=look, height_px=height_px)
    return strategy.fuse(v, a, places, look.statistics)
