"""Modality dropout: training clips from which one modality is removed at random.

Pure functions. The modality that a clip lacks follows from the seed, the epoch and the
clip id. It does not depend on the other clips, on the batch size, on the number of
processes or on the steps before, so a resumed run draws the same.

Source: AV-HuBERT (arXiv 2201.02184, modality dropout), which drops one of two
modalities of a training sample at even odds.
"""

import hashlib
from collections.abc import Sequence

from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import MODALITIES, Modality


def draw_dropped(
    clip_ids: Sequence[str], *, probability: float, seed: int, epoch: int
) -> list[Modality | None]:
    """Draw the modality that each clip lacks in an epoch, or None.

    Args:
        clip_ids: Name of each clip.
        probability: Probability that a clip lacks one modality. Both are equally
            likely.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    return [_draw(f"{seed}/{epoch}/modality {c}", probability) for c in clip_ids]


def drop_alike_in_pairs(dropped: Sequence[Modality | None]) -> list[Modality | None]:
    """Return dropped modalities in which both clips of a Mixup pair have the first's.

    Clip i of n is mixed with clip n - 1 - i. With two different modalities dropped, the
    mixed clip would lack neither.
    """
    return [dropped[min(i, len(dropped) - 1 - i)] for i in range(len(dropped))]


def can_lack(
    strategy: Strategy, names: Sequence[str] = MODALITIES
) -> tuple[Modality, ...]:
    """Return those of some modalities that an input of a strategy can lack.

    A strategy of one modality cannot lack it.
    """
    joint = strategy.frames and strategy.windows
    return tuple(m for m in MODALITIES if joint and m in names)


def _draw(key: str, probability: float) -> Modality | None:
    digest = hashlib.sha256(key.encode()).digest()
    uniform = int.from_bytes(digest[:8], "big") / 2**64
    return MODALITIES[digest[8] % 2] if uniform < probability else None
