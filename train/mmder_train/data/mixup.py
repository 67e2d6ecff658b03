"""Mixup and CutMix of clips: pairs of inputs are mixed, and so are their labels.

Clip i of n is mixed with clip n - 1 - i. All frames are mixed alike, and all pairs of a
batch in the same proportion. Random numbers come from torch's CPU generator.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from timm.data.mixup import mixup_target
from torch import Tensor

from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import Input, Permutation


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixup:
    """Mixup and CutMix settings. If both are on, each batch uses either at even odds.

    Each number is the alpha of Beta(alpha, alpha), from which the fraction of a clip's
    partner is drawn. 0 disables it. VideoMAE fine-tunes with 0.8 and 1.0.
    """

    mixup: float = 0.0
    """Alpha of Mixup."""
    cutmix: float = 0.0
    """Alpha of CutMix."""

    @property
    def enabled(self) -> bool:
        """True if clips are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def apply(
        self,
        x: Input,
        labels: Int64[Tensor, " clip"],
        *,
        classes: int,
        strategy: Strategy,
        label_smoothing: float = 0.0,
    ) -> tuple[Input, Float[Tensor, "clip class"]]:
        """Return a mixed batch, and the fraction of each class in each of its clips.

        Args:
            x: Inputs from `fusion.fuse`, those of RFAS with `pair_permutations`. They
                are not changed.
            labels: Class of each clip, on the same device.
            classes: Number of classes.
            strategy: Strategy with which `x` was fused.
            label_smoothing: Fraction of each label that is spread over all classes.
        """
        fraction = 0.0
        if self.enabled:
            both = self.mixup > 0 and self.cutmix > 0
            cut = draw_uniform() < 0.5 if both else self.cutmix > 0
            fraction = draw_beta(self.cutmix if cut else self.mixup)
            if cut:
                x, fraction = cutmix(x, fraction, strategy=strategy)
            else:
                x = x.lerp(x.flip(0), fraction)
        target: Tensor = mixup_target(  # type: ignore[no-untyped-call]
            labels, classes, 1 - fraction, label_smoothing
        )
        return x, target


def pair_permutations(permutations: Permutation) -> Permutation:
    """Return frame orders in which both clips of each pair have that of the first.

    With two different orders, RFAS would mix a face with a spectrogram.
    """
    clip = torch.arange(len(permutations), device=permutations.device)
    return permutations[torch.minimum(clip, clip.flip(0))]


def cutmix(x: Input, fraction: float, *, strategy: Strategy) -> tuple[Input, float]:
    """Replace a part of each clip by that of its partner, and return the part's size.

    In faces, the part is one box for all frames. In spectrograms, it is one band of
    frequencies for all windows: windows overlap by half, and with a box in time one
    instant would come from two clips. Both parts cover the same fraction, so the
    partner's label never rests on one modality. If faces and spectrograms are added or
    shuffled, one box is replaced in all frames.
    """
    out, partner = x.clone(), x.flip(0)
    layouts = list(zip(strategy.layout(out), strategy.layout(partner), strict=True))
    (v, v_partner), (a, a_partner) = layouts
    if v is a or strategy.shuffles_frames:
        fractions = [_replace_box(out, partner, fraction)]
    else:
        fractions = []
        if v is not None and v_partner is not None:
            fractions.append(_replace_box(v, v_partner, fraction))
        if a is not None and a_partner is not None:
            fractions.append(_replace_band(a, a_partner, fraction))
    # Both modalities have the same size in the input, so a plain mean is correct.
    return out, sum(fractions) / len(fractions)


def _replace_box(out: Tensor, partner: Tensor, fraction: float) -> float:
    height, width = out.shape[-2:]
    rows, columns = (round(math.sqrt(fraction) * side) for side in (height, width))
    top, left = draw_integer(height - rows + 1), draw_integer(width - columns + 1)
    box = (..., slice(top, top + rows), slice(left, left + columns))
    out[box] = partner[box]
    return rows * columns / (height * width)


def _replace_band(out: Tensor, partner: Tensor, fraction: float) -> float:
    height = out.shape[-2]
    rows = round(fraction * height)
    top = draw_integer(height - rows + 1)
    out[..., top : top + rows, :] = partner[..., top : top + rows, :]
    return rows / height


def draw_uniform() -> float:
    """Draw a number from [0, 1) on the CPU."""
    return torch.rand(()).item()


def draw_beta(alpha: float) -> float:
    """Draw a number from Beta(alpha, alpha) on the CPU."""
    parameter = torch.tensor(alpha)
    return torch.distributions.Beta(parameter, parameter).sample().item()


def draw_integer(end: int) -> int:
    """Draw an integer from 0 to below `end` on the CPU."""
    return int(torch.randint(end, ()))
