"""What a way to tune is given, and what it gives of a fold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from mmder_train.data.folds import Fold
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.models.registry import Encoder
from mmder_train.models.videomae import Head
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class RuntimeContext:
    """What a run is done with; no number depends on it."""

    progress: Progress
    checkpoints: Path
    """Folder of folds that are not finished."""
    save_every_s: float = 300.0
    """How often they are saved."""
    workers: int = 0
    """Processes that read the store."""
    world: WorldInfo = field(default_factory=WorldInfo)


@dataclass(frozen=True, kw_only=True)
class FoldOutput:
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


class TuningMethod(Protocol):
    """A way to tune."""

    def __call__(
        self,
        run: Experiment,
        trial: StrategyRun,
        todo: Sequence[Fold],
        means: RuntimeContext,
    ) -> Iterator[FoldOutput]:
        """Train and test each fold.

        Args:
            run: Settings, store and weights.
            trial: The strategy and its clips.
            todo: The folds.
            means: Readers, processes, and where progress goes.
        """
