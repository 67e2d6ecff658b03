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
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional

Frames = UInt8[Tensor, "clip frame 224 224 3"]
Sound = Float[Tensor, "clip window frequency time"]
Input = Float[Tensor, "clip 3 16 224 224"]
Into = Float[Tensor, "clip 3 frame height 224"]
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


Parts = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]


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
    parts: Parts
    """Gives where V and where A lie in an input, as views of it; where both are the
    same, they are added."""
    reordered: bool = False
    """Whether the sixteen frames then change places."""


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


def mel_edges_hz(sample_rate_hz: int) -> Float64[np.ndarray, " edge"]:
    """Give where 64 overlapping mel bands begin, peak and end: 66 frequencies.

    They are evenly spaced on Slaney's scale (Auditory Toolbox, 1998): straight up to
    1 kHz, then 27 steps for each factor of 6.4.
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
    return np.where(mel < corner, mel * step, high)


@cache
def mel_bands(bins: int, sample_rate_hz: int) -> Float[Tensor, "mel bin"]:
    """Give the weight of every bin of an STFT in each of 64 mel bands; they sum to 1.

    They are triangles: a band's power is the mean of its bins'.
    """
    edge_hz = mel_edges_hz(sample_rate_hz)
    low, mid, last = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    bin_hz = np.linspace(0, sample_rate_hz / 2, bins)
    sides = (bin_hz - low) / (mid - low), (last - bin_hz) / (last - mid)
    weight = np.minimum(*sides).clip(min=0)
    return torch.from_numpy(weight / weight.sum(axis=1, keepdims=True)).float()


def mel(
    stft: Float[Tensor, "clip window bin time"], *, sample_rate_hz: int
) -> Float[Tensor, "clip window mel time"]:
    """Give the mel spectrogram of an STFT, both in decibels."""
    bands = mel_bands(stft.shape[2], sample_rate_hz).to(stft.device)
    return (bands @ torch.pow(10.0, stft / 10)).log10() * 10


def colour_values(
    sound: Float[Tensor, "clip window frequency time"],
    *,
    look: Look,
    height_px: int = SIDE_PX,
) -> Float[Tensor, "clip window height width"]:
    """Give the colour of each pixel of each window, a whole number of 0 to 255.

    Low frequencies are at the bottom. Paper: figures 2 and 4 show viridis pictures
    and say neither their scale nor which coefficients they hold. The 0th (loudness)
    spans ten times the range of the others and would leave them one colour: it is
    left out, as in the release.
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
    return value.mul_(255).round_()


def write_spectrograms(into: Into, sound: Sound, *, look: Look) -> None:
    """Paint each sound window where its picture lies in the input, normalised."""
    value = colour_values(sound, look=look, height_px=into.shape[3])
    if look.colour == "grey":
        factor, shift = _line(look.statistics, into.device)
        torch.mul(value[:, None], factor, out=into).sub_(shift)
        return
    table = _normalised_table(look.colour, look.statistics, into.device)
    index = value.int().flatten()
    for plane, painted in zip(table, into.unbind(1), strict=True):
        painted.copy_(plane.index_select(0, index).view_as(painted))


def write_faces(into: Into, frames: Frames, *, by: Statistics) -> None:
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
    by: Statistics, device: torch.device
) -> tuple[Float[Tensor, "3 1 1 1"], Float[Tensor, "3 1 1 1"]]:
    """Give what a colour in [0, 255] is multiplied by, and what is then taken off."""
    std, mean = (
        torch.tensor(rgb, device=device).view(3, 1, 1, 1)
        for rgb in (by.std_rgb, by.mean_rgb)
    )
    return 1 / (255 * std), mean / std


@cache
def _normalised_table(
    colour: str, by: Statistics, device: torch.device
) -> Float[Tensor, "3 256"]:
    factor, shift = (of.view(3, 1) for of in _line(by, device))
    return colour_table(colour).to(device).float().mul_(factor).sub_(shift)


def cfas(x: Input) -> tuple[Tensor, Tensor]:
    """X_i = Concat(V_i, A_i): the face above its spectrogram, 112 rows each."""
    return x[:, :, :, : SIDE_PX // 2], x[:, :, :, SIDE_PX // 2 :]


def sfas(x: Input) -> tuple[Tensor, Tensor]:
    """X_i = Add(Norm(V_i), Norm(A_i)), in float: both lie everywhere.

    Paper: "will be normalized, and then directly added"; which norm is open. We take
    the encoder's own (`Look.statistics`) for both, and the plain sum.
    """
    return x, x


def ffls(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(V_1 .. V_8, A_1 .. A_8): all faces, then all spectrograms."""
    return x[:, :, :8], x[:, :, 8:]


def fslf(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(A_1 .. A_8, V_1 .. V_8): all spectrograms, then all faces."""
    return x[:, :, 8:], x[:, :, :8]


def ofos(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(V_1, A_1 .. V_8, A_8): a face and its spectrogram in turn."""
    return x[:, :, ::2], x[:, :, 1::2]


def video(x: Input) -> tuple[Tensor, None]:
    """X_i = V_i: the faces alone."""
    return x, None


def audio(x: Input) -> tuple[None, Tensor]:
    """X_i = A_i: the spectrograms alone."""
    return None, x


STRATEGIES = {
    s.name: s
    for s in (
        Strategy(name="cfas", equation="eq. 1", frames=16, windows=16, parts=cfas),
        Strategy(name="sfas", equation="eq. 2", frames=16, windows=16, parts=sfas),
        Strategy(name="ffls", equation="eq. 3", frames=8, windows=8, parts=ffls),
        Strategy(name="fslf", equation="eq. 4", frames=8, windows=8, parts=fslf),
        Strategy(name="ofos", equation="eq. 5", frames=8, windows=8, parts=ofos),
        Strategy(
            name="rfas",
            equation="eq. 6",
            frames=8,
            windows=8,
            parts=ffls,
            reordered=True,
        ),
        Strategy(
            name="video", equation="table I, V", frames=16, windows=0, parts=video
        ),
        Strategy(
            name="audio", equation="table I, A", frames=0, windows=16, parts=audio
        ),
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
    frames: Frames | None,
    sound: Sound | None,
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
    given = sound if frames is None else frames
    assert given is not None
    clips = len(given)
    x = torch.empty(clips, 3, PLACES, SIDE_PX, SIDE_PX, device=given.device)
    # One by one what lies in between stays in a processor's caches, and no clip
    # depends on those around it; a GPU takes all at once.
    step = 1 if x.device.type == "cpu" else clips
    for first in range(0, clips, step):
        some = slice(first, first + step)
        ordered = torch.empty_like(x[some]) if strategy.reordered else x[some]
        v, a = strategy.parts(ordered)
        if v is not None and frames is not None:
            write_faces(v, frames[some], by=look.statistics)
        if a is not None and sound is not None:
            added = torch.empty_like(a) if a is v else a
            write_spectrograms(added, sound[some], look=look)
            if a is v:
                a.add_(added)
        if strategy.reordered:
            for one, sequence, order in zip(
                x[some], ordered, places[some], strict=True
            ):
                torch.index_select(sequence, 1, order, out=one)
    return x
