"""Mixup and CutMix of clips: two inputs become one, and so do their labels.

Clip i of n is mixed with clip n - 1 - i, all frames alike, and all pairs of a batch in
the same share. Draws come from torch's generator of the CPU.
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
    """How training clips are mixed; if both ways are on, either at even chance.

    Each number is the alpha of Beta(alpha, alpha), from which the share of a clip's
    partner is drawn; 0 turns it off. VideoMAE tunes with 0.8 and 1.0.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def on(self) -> bool:
        """Tell whether anything is mixed."""
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
        """Give a batch mixed, and how much of each class is in each of its clips.

        Args:
            x: From `fusion.fused`; of RFAS with `shared_places`. It is not changed.
            labels: Of the clips, on the same device.
            classes: How many there are.
            strategy: With which `x` was made.
            label_smoothing: Share of each label that is spread over all classes.
        """
        share = 0.0
        if self.on:
            both = self.mixup > 0 and self.cutmix > 0
            cut = torch.rand(()).item() < 0.5 if both else self.cutmix > 0
            alpha = torch.tensor(self.cutmix if cut else self.mixup)
            share = torch.distributions.Beta(alpha, alpha).sample().item()
            if cut:
                x, share = exchanged(x, share, strategy=strategy)
            else:
                x = x.lerp(x.flip(0), share)
        target: Tensor = mixup_target(  # type: ignore[no-untyped-call]
            labels, classes, 1 - share, label_smoothing
        )
        return x, target


def mix_labels(places: Permutation) -> Permutation:
    """Give both clips of each pair the order of the first.

    In orders of their own, RFAS would mix a face with a spectrogram.
    """
    clip = torch.arange(len(places), device=places.device)
    return places[torch.minimum(clip, clip.flip(0))]


def exchanged(x: Input, share: float, *, strategy: Strategy) -> tuple[Input, float]:
    """Give each clip a cut-out of its partner, and the share that it takes (CutMix).

    Of faces it is one box for all frames. Of spectrograms it is one band of
    frequencies for all windows: they overlap by half, and a box in time would show one
    instant from two clips. Both take the same share, so neither speaks alone for the
    partner's label. Where faces and spectrograms are added, or lie in an order of
    their own, one box is cut out of all.
    """
    out, partner = x.clone(), x.flip(0)
    parts = list(zip(strategy.layout(out), strategy.layout(partner), strict=True))
    (v, v_partner), (a, a_partner) = parts
    if v is a or strategy.shuffles_frames:
        taken = [_box(out, partner, share)]
    else:
        taken = []
        if v is not None and v_partner is not None:
            taken.append(_box(v, v_partner, share))
        if a is not None and a_partner is not None:
            taken.append(_band(a, a_partner, share))
    # All parts of an input are of one size.
    return out, sum(taken) / len(taken)


def _box(into: Tensor, partner: Tensor, share: float) -> float:
    height, width = into.shape[-2:]
    rows, columns = (round(math.sqrt(share) * side) for side in (height, width))
    top = int(torch.randint(height - rows + 1, ()))
    left = int(torch.randint(width - columns + 1, ()))
    box = (..., slice(top, top + rows), slice(left, left + columns))
    into[box] = partner[box]
    return rows * columns / (height * width)


def _band(into: Tensor, partner: Tensor, share: float) -> float:
    height = into.shape[-2]
    rows = round(share * height)
    top = int(torch.randint(height - rows + 1, ()))
    into[..., top : top + rows, :] = partner[..., top : top + rows, :]
    return rows / height
