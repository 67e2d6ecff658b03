"""Measure how the prediction changes if parts of the video or audio are hidden.

A part is a block of tubelets of the fused input. It is hidden before the encoder, so
the measure applies to any encoder. Pure functions on tensors.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from mmder_train.fusion.types import (
    MODALITIES,
    NUM_FRAMES,
    SIDE_PX,
    Input,
    Modality,
)
from mmder_train.inference.occlusion_effect import (
    ModelAgreement,
    is_measurable,
    model_agreement,
)

Kind = Modality
KINDS = MODALITIES
Cell = tuple[slice, ...]
Probabilities = Callable[[Tensor], Tensor]
"""Models that map inputs to probabilities, with the dimensions model, clip, class."""
BLOCKS = {
    # Frames, rows and columns that are hidden together: 64 blocks, or 512.
    "coarse": (4, 56, 56),
    "fine": (2, 28, 28),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class OcclusionMap:
    """Effect of hiding parts of one clip on its prediction."""

    input_image: UInt8[Tensor, "frame height width 3"]
    """Input of the encoder as RGB colors."""
    probability: tuple[float, ...]
    """Probability of each class with nothing hidden."""
    best: int
    """Index of the most probable class. All changes are of its probability."""
    importance: Mapping[Kind, Float[Tensor, "frame height width"]]
    """Drop of the probability if a block of this kind is hidden. NaN at positions that
    do not show the kind."""
    ablated: Mapping[Kind, float]
    """Probability with all video, or all audio, hidden."""
    contribution: Mapping[Kind, float]
    """Fraction of the mean absolute change over all blocks. 1 if there is one kind."""
    is_measurable: bool
    """False if no change of the input has an effect that exceeds the differences
    between the models; the contributions then mean nothing."""
    agreement: ModelAgreement
    """Predictions of the models with nothing hidden."""
    source_frame: Mapping[Kind, Int64[Tensor, " frame"]]
    """Index of the video frame or audio window that each input frame shows, or -1."""


def compute_occlusion_map(
    clip: Mapping[str, Tensor],
    permutation: Int64[Tensor, "1 16"],
    probabilities: Probabilities,
    *,
    strategy: Strategy,
    settings: RenderSettings,
    block: tuple[int, int, int] = BLOCKS["coarse"],
    batch: int = 8,
) -> OcclusionMap:
    """Hide each block in turn, and measure the change of the prediction.

    A hidden block has the mean color of the clip's video, or of its audio. Video and
    audio are hidden separately, also if they are added at the same position.

    Args:
        clip: ``frames``, ``audio`` or both of one clip, from `load_arrays`.
        permutation: RFAS frame order of the clip.
        probabilities: Models whose mean is explained.
        strategy: Fusion strategy.
        settings: Colors and normalization of the input.
        block: Number of frames, rows and columns that are hidden together.
        batch: Number of inputs per call of the model.
    """
    kinds = _kinds(clip)
    masks = {
        kind: _place(kind, permutation, strategy, _write_ones)[0, 0] > 0
        for kind in kinds
    }
    writers = {
        "video": lambda view: write_faces(
            view, clip["frames"], image_norm=settings.image_norm
        ),
        "audio": lambda view: write_spectrograms(
            view, clip["audio"], settings=settings
        ),
    }
    parts = {kind: _place(kind, permutation, strategy, writers[kind]) for kind in kinds}
    whole = sum(parts.values(), torch.zeros(()))
    flat = {kind: _mean_color(parts[kind], masks[kind]) for kind in kinds}
    hidden = {
        kind: sum((flat[k] if k == kind else parts[k] for k in kinds), torch.zeros(()))
        for kind in kinds
    }
    jobs = [(kind, cell) for kind in kinds for cell in cells(block, masks[kind])]
    inputs = _occluded_inputs(whole, hidden, jobs)
    by_model = torch.cat([probabilities(group) for group in _batched(inputs, batch)], 1)
    outputs = by_model.mean(0)
    best = int(outputs[0].argmax())
    p = outputs[:, best]
    drops = p[0] - p[1 + len(kinds) :]
    return OcclusionMap(
        input_image=_to_colors(whole, masks, settings.image_norm),
        probability=tuple(outputs[0].tolist()),
        best=best,
        importance={k: _importance_map(k, jobs, drops, masks[k]) for k in kinds},
        ablated=dict(zip(kinds, p[1 : 1 + len(kinds)].tolist(), strict=True)),
        contribution=_contributions(jobs, drops, kinds),
        is_measurable=is_measurable(
            by_model[:, :1, best] - by_model[:, 1 : 1 + len(kinds), best]
        ),
        agreement=model_agreement(by_model[:, 0], best),
        source_frame={k: _source_frames(k, permutation, strategy) for k in kinds},
    )


def _kinds(clip: Mapping[str, Tensor]) -> tuple[Kind, ...]:
    present = {"video": "frames" in clip, "audio": "audio" in clip}
    return tuple(kind for kind in KINDS if present[kind])


def _place(
    kind: Kind,
    permutation: Int64[Tensor, "1 16"],
    strategy: Strategy,
    write: Callable[[Tensor], object],
) -> Input:
    """Return an input with one kind written to its positions, and zeros elsewhere."""
    x = torch.zeros(1, 3, NUM_FRAMES, SIDE_PX, SIDE_PX, device=permutation.device)
    v, a = strategy.layout(x)
    view = v if kind == "video" else a
    assert view is not None
    write(view)
    return x[:, :, permutation[0]] if strategy.shuffles_frames else x


def _write_ones(view: Tensor) -> None:
    view.fill_(1)


def _write_numbers(view: Tensor) -> None:
    """Fill each frame with its number, from 1."""
    view.copy_(torch.arange(1, view.shape[2] + 1)[:, None, None].expand_as(view))


def _source_frames(
    kind: Kind, permutation: Int64[Tensor, "1 16"], strategy: Strategy
) -> Int64[Tensor, " frame"]:
    numbers = _place(kind, permutation, strategy, _write_numbers)[0].amax((0, 2, 3))
    return numbers.round().long() - 1


def _mean_color(part: Input, mask: Bool[Tensor, "frame height width"]) -> Input:
    """Return the mean color of a kind at its positions, and zeros elsewhere."""
    # Computed in double precision, so that the mean of one color is that color.
    mean = part[0][:, mask].double().mean(1).float()
    return mean.view(1, 3, 1, 1, 1) * mask


def cells(
    block: tuple[int, int, int], mask: Bool[Tensor, "frame height width"]
) -> Iterator[Cell]:
    """Cut the input into blocks, and yield those that overlap the mask."""
    steps = [range(0, size, b) for size, b in zip(mask.shape, block, strict=True)]
    for starts in torch.cartesian_prod(*map(torch.tensor, steps)).tolist():
        cell = tuple(slice(s, s + b) for s, b in zip(starts, block, strict=True))
        if mask[cell].any():
            yield cell


def _occluded_inputs(
    whole: Tensor,
    hidden: Mapping[Kind, Tensor],
    jobs: Sequence[tuple[Kind, Cell]],
) -> Iterator[Tensor]:
    """Yield the unchanged input, then without each kind, then without each block."""
    yield whole
    yield from hidden.values()
    for kind, cell in jobs:
        occluded = whole.clone()
        at = (slice(None), slice(None), *cell)
        occluded[at] = hidden[kind][at]
        yield occluded


def _batched(inputs: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    while group := list(itertools.islice(inputs, size)):
        yield torch.cat(group)


def _importance_map(
    kind: Kind, jobs: Sequence[tuple[Kind, Cell]], drops: Tensor, mask: Tensor
) -> Tensor:
    values = torch.full(mask.shape, torch.nan)
    for (job_kind, cell), drop in zip(jobs, drops.tolist(), strict=True):
        if job_kind == kind:
            values[cell] = torch.where(mask[cell], drop, values[cell])
    return values


def _contributions(
    jobs: Sequence[tuple[Kind, Cell]], drops: Tensor, kinds: Sequence[Kind]
) -> dict[Kind, float]:
    """Return each kind's fraction of the mean change; drops and rises both count."""
    means = {
        k: torch.stack(
            [d for (kind, _), d in zip(jobs, drops, strict=True) if kind == k]
        )
        .abs()
        .mean()
        .item()
        for k in kinds
    }
    total = sum(means.values()) or 1.0
    return {k: mean / total for k, mean in means.items()}


def _to_colors(
    whole: Tensor, masks: Mapping[Kind, Tensor], norm: ImageNorm
) -> UInt8[Tensor, "frame height width 3"]:
    """Turn the input back into colors; where two kinds were added, into their mean."""
    # A position that shows nothing is zero, the mean color.
    layers = torch.stack([m.int() for m in masks.values()]).sum(0).clamp_min(1)
    mean, std = (
        torch.tensor(x).view(3, 1, 1, 1) for x in (norm.mean_rgb, norm.std_rgb)
    )
    colors = (whole[0] / layers * std + mean) * 255
    return colors.round().clamp(0, 255).byte().permute(1, 2, 3, 0)
