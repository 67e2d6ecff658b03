"""What a prediction rests on: picture and sound hidden in parts, the change measured.

A part is a block of tubelets of the fused input. It is hidden before it meets the
encoder, so the measure is true of any encoder. Pure, on tensors.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from mmder_train.fusion.rendering import (
    ImageNorm,
    RenderSettings,
    write_faces,
    write_spectrograms,
)
from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import NUM_FRAMES, SIDE_PX, Input

Kind = Literal["picture", "sound"]
KINDS: tuple[Kind, Kind] = ("picture", "sound")
Cell = tuple[slice, ...]
Probabilities = Callable[[Tensor], Tensor]
BLOCKS = {
    # Frames, rows and columns that are hidden at once: 64 blocks, or 512.
    "coarse": (4, 56, 56),
    "fine": (2, 28, 28),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class OcclusionMap:
    """What one clip's prediction rests on."""

    input_image: UInt8[Tensor, "frame height width 3"]
    """What the encoder saw, as colours."""
    probability: tuple[float, ...]
    """Of each class, with nothing hidden."""
    best: int
    """The most probable class; all drops are of its probability."""
    importance: Mapping[Kind, Float[Tensor, "frame height width"]]
    """Drop where a block of this kind is hidden; NaN where the kind is not."""
    ablated: Mapping[Kind, float]
    """Probability with all of a kind hidden."""
    contribution: Mapping[Kind, float]
    """Of the mean change over all blocks; 1 where there is one kind."""
    source_frame: Mapping[Kind, Int64[Tensor, " frame"]]
    """Which picture or window of the clip each input frame shows, -1 for none."""


def compute_occlusion_map(
    clip: Mapping[str, Tensor],
    places: Int64[Tensor, "1 16"],
    probabilities: Probabilities,
    *,
    strategy: Strategy,
    look: RenderSettings,
    block: tuple[int, int, int] = BLOCKS["coarse"],
    batch: int = 8,
) -> OcclusionMap:
    """Hide each block in turn, in the mean colour of the clip's own kind.

    Picture and sound are hidden apart, also where they are added in one place.

    Args:
        clip: ``frames``, ``sound`` or both, of one clip, as `clips.taken` gives them.
        places: Its order of RFAS.
        probabilities: The model: input to the probability of each class.
        strategy: How it is fused.
        look: How it is painted and normalised.
        block: Frames, rows and columns hidden at once.
        batch: Inputs through the model at once.
    """
    where = {k: _laid(k, clip, places, strategy, _ones)[0, 0] > 0 for k in _kinds(clip)}
    layers = {
        "picture": lambda at: write_faces(at, clip["frames"], by=look.image_norm),
        "sound": lambda at: write_spectrograms(at, clip["sound"], look=look),
    }
    parts = {k: _laid(k, clip, places, strategy, layers[k]) for k in where}
    whole = sum(parts.values(), torch.zeros(()))
    flat = {k: _mean_colour(parts[k], where[k]) for k in parts}
    hidden = {
        kind: sum((flat[k] if k == kind else parts[k] for k in parts), torch.zeros(()))
        for kind in parts
    }
    jobs = [(kind, cell) for kind in parts for cell in cells(block, where[kind])]
    inputs = _hiding(whole, hidden, jobs)
    found = torch.cat([probabilities(group) for group in _batched(inputs, batch)])
    best = int(found[0].argmax())
    p = found[:, best]
    drops = p[0] - p[1 + len(parts) :]
    return OcclusionMap(
        input_image=_colours(whole, where, look.image_norm),
        probability=tuple(found[0].tolist()),
        best=best,
        importance={k: _map(k, jobs, drops, where[k]) for k in parts},
        ablated=dict(zip(parts, p[1 : 1 + len(parts)].tolist(), strict=True)),
        contribution=_shares(jobs, drops, tuple(parts)),
        source_frame={k: _places(k, clip, places, strategy) for k in parts},
    )


def _kinds(clip: Mapping[str, Tensor]) -> tuple[Kind, ...]:
    given = {"picture": "frames" in clip, "sound": "sound" in clip}
    return tuple(kind for kind in KINDS if given[kind])


def _laid(
    kind: Kind,
    clip: Mapping[str, Tensor],
    places: Int64[Tensor, "1 16"],
    strategy: Strategy,
    write: Callable[[Tensor], object],
) -> Input:
    """Write to where a kind lies in the input, zeros elsewhere."""
    x = torch.zeros(1, 3, NUM_FRAMES, SIDE_PX, SIDE_PX, device=places.device)
    v, a = strategy.layout(x)
    at = v if kind == "picture" else a
    assert at is not None
    write(at)
    return x[:, :, places[0]] if strategy.shuffles_frames else x


def _ones(at: Tensor) -> None:
    at.fill_(1)


def _numbers(at: Tensor) -> None:
    """Write each frame full of its own number, from 1."""
    at.copy_(torch.arange(1, at.shape[2] + 1)[:, None, None].expand_as(at))


def _places(
    kind: Kind,
    clip: Mapping[str, Tensor],
    places: Int64[Tensor, "1 16"],
    strategy: Strategy,
) -> Int64[Tensor, " frame"]:
    found = _laid(kind, clip, places, strategy, _numbers)[0].amax((0, 2, 3))
    return found.round().long() - 1


def _mean_colour(part: Input, where: Bool[Tensor, "frame height width"]) -> Input:
    """Give the mean colour of a kind wherever it lies, zeros elsewhere."""
    # In double, or the mean of one colour would not be that colour.
    mean = part[0][:, where].double().mean(1).float()
    return mean.view(1, 3, 1, 1, 1) * where


def cells(
    block: tuple[int, int, int], where: Bool[Tensor, "frame height width"]
) -> Iterator[Cell]:
    """Cut the input into blocks, and give those that hold something of a kind."""
    steps = [range(0, size, b) for size, b in zip(where.shape, block, strict=True)]
    for starts in torch.cartesian_prod(*map(torch.tensor, steps)).tolist():
        cell = tuple(slice(s, s + b) for s, b in zip(starts, block, strict=True))
        if where[cell].any():
            yield cell


def _hiding(
    whole: Tensor,
    hidden: Mapping[Kind, Tensor],
    jobs: Sequence[tuple[Kind, Cell]],
) -> Iterator[Tensor]:
    """Give the input as it is, without each kind, then without each block."""
    yield whole
    yield from hidden.values()
    for kind, cell in jobs:
        part = whole.clone()
        at = (slice(None), slice(None), *cell)
        part[at] = hidden[kind][at]
        yield part


def _batched(inputs: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    while group := list(itertools.islice(inputs, size)):
        yield torch.cat(group)


def _map(
    kind: Kind, jobs: Sequence[tuple[Kind, Cell]], drops: Tensor, where: Tensor
) -> Tensor:
    found = torch.full(where.shape, torch.nan)
    for (other, cell), drop in zip(jobs, drops.tolist(), strict=True):
        if other == kind:
            found[cell] = torch.where(where[cell], drop, found[cell])
    return found


def _shares(
    jobs: Sequence[tuple[Kind, Cell]], drops: Tensor, kinds: Sequence[Kind]
) -> dict[Kind, float]:
    """Give each kind's part of the mean change; a drop and a rise both count."""
    of = {
        k: torch.stack(
            [d for (kind, _), d in zip(jobs, drops, strict=True) if kind == k]
        )
        .abs()
        .mean()
        .item()
        for k in kinds
    }
    total = sum(of.values()) or 1.0
    return {k: mean / total for k, mean in of.items()}


def _colours(
    whole: Tensor, where: Mapping[Kind, Tensor], by: ImageNorm
) -> UInt8[Tensor, "frame height width 3"]:
    """Turn the input back into colours; of two that were added, their mean."""
    layers = torch.stack([m.int() for m in where.values()]).sum(0)
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in (by.mean_rgb, by.std_rgb))
    colours = (whole[0] / layers * std + mean) * 255
    return colours.round().clamp(0, 255).byte().permute(1, 2, 3, 0)
