"""What a way to tune is given, and what it gives of a fold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from mmder_train.distributed import Group
from mmder_train.encoders import Encoder
from mmder_train.folds import Fold
from mmder_train.progress import Progress
from mmder_train.trial import Run, Trial
from mmder_train.videomae import Head


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a run is done with; no number depends on it."""

    progress: Progress
    checkpoints: Path
    """Folder of folds that are not finished."""
    save_every_s: float = 300.0
    """How often they are saved."""
    workers: int = 0
    """Processes that read the store."""
    group: Group = field(default_factory=Group)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A fold that was trained, and its test side predicted."""

    fold: Fold
    logits: Float[Tensor, "test class"]
    """In the order of the fold's test clips."""
    history: Sequence[Mapping[str, float]]
    """One row an epoch."""
    encoder: Encoder | None
    """None where it is the one that the run began with."""
    head: Head
    seconds: float


class Tune(Protocol):
    """A way to tune."""

    def __call__(
        self, run: Run, trial: Trial, todo: Sequence[Fold], means: Means
    ) -> Iterator[Outcome]:
        """Train and test each fold.

        Args:
            run: Settings, store and weights.
            trial: The strategy and its clips.
            todo: The folds.
            means: Readers, processes, and where progress goes.
        """
