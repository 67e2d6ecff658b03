"""Inputs and outputs of a training method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mmder_train.data.folds import Fold
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.models.registry import Encoder
from mmder_train.models.videomae import Head
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.metrics_file import Tags
from mmder_train.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class RuntimeContext:
    """Runtime resources. None of them changes the results."""

    progress: Progress
    checkpoints: Path
    """Folder for checkpoints of unfinished folds."""
    save_every_s: float = 300.0
    """Seconds between two checkpoints."""
    readers: ReaderThreads = field(default_factory=ReaderThreads)
    """Threads that read the store."""
    world: WorldInfo = field(default_factory=WorldInfo)
    """Processes that train together."""
    shard_weights: bool = False
    """True to divide weights, gradients and moments among the processes."""


UnfinishedFolds = Sequence[tuple[StrategyRun, Sequence[Fold]]]
"""Every strategy and seed of a run, with its folds that are not finished."""


@dataclass(frozen=True, kw_only=True)
class FoldOutput:
    """A trained fold and the predictions on its test side."""

    strategy_run: StrategyRun
    fold: Fold
    logits: Float[Tensor, "test class"]
    """Outputs for the fold's test clips, in their order."""
    dropped_logits: Mapping[str, Float[Tensor, "test class"]]
    """The same outputs without a modality, by its name."""
    history: Sequence[Mapping[str, float]]
    """One row per epoch."""
    encoder: Encoder | None
    """Trained encoder. None if it is the unchanged initial one."""
    head: Head
    seconds: float
    """Duration of training and testing. The mean if folds are trained together."""


def metric_tags(run: StrategyRun, fold: Fold) -> Tags:
    """Return the tags of a fold in the metrics of a run."""
    return {"strategy": run.strategy.name, "fold": fold.number, "seed": run.seed}


@runtime_checkable
class TuningMethod(Protocol):
    """A training method: fine-tuning or a linear probe."""

    def __call__(
        self,
        experiment: Experiment,
        unfinished: UnfinishedFolds,
        context: RuntimeContext,
    ) -> Iterator[FoldOutput]:
        """Train and test each fold that is not finished.

        Args:
            experiment: Settings, store and weights.
            unfinished: Strategies and their folds.
            context: Runtime resources.
        """
