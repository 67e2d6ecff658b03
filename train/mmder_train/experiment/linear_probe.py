"""Linear probe (`--method linear-probe`): a head is trained on frozen features.

Each clip goes through the encoder once, for all folds.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_encodable
from mmder_train.evaluation.validation import validate
from mmder_train.experiment.feature_extraction import load_or_extract_features
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext
from mmder_train.models.videomae import Head
from mmder_train.runtime.progress import Progress
from mmder_train.training import evaluate, trainer
from mmder_train.training.optim import constant_lr, create_optimizer
from mmder_train.training.train_state import MicroBatch, TrainState


def linear_probe(
    experiment: Experiment,
    strategy_run: StrategyRun,
    folds: Sequence[Fold],
    context: RuntimeContext,
) -> Iterator[FoldOutput]:
    """Load or extract the features of all clips, then train a head for each fold.

    Args:
        experiment: Settings, store and weights.
        strategy_run: A strategy and its clips.
        folds: Folds that are not finished.
        context: Runtime resources.

    Yields:
        The trained head of a fold, and the predictions on its test side.
    """
    clips = strategy_run.clips
    encodable = select_encodable(experiment.store, strategy=strategy_run.strategy)
    features = load_or_extract_features(
        experiment, replace(strategy_run, clips=encodable), context
    )
    # Keep the features of this label set's clips, which are some of the encodable.
    features = features[np.searchsorted(encodable.row, clips.row)]
    labels = torch.from_numpy(clips.label)
    for fold in folds:
        start = time.monotonic()
        context.progress.begin(
            f"{strategy_run.strategy.name} fold {fold.number}",
            clips=experiment.config.epochs * len(fold.train),
        )
        head, history = train_head(
            features,
            labels,
            fold=fold,
            classes=len(experiment.labels.classes),
            config=experiment.config,
            clip_ids=clips.clip_id,
            progress=context.progress,
        )
        yield FoldOutput(
            fold=fold,
            logits=_logits(head, features, fold.test),
            history=history,
            encoder=None,
            head=head,
            seconds=time.monotonic() - start,
        )


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute in one thread. For a few thousand numbers, more threads only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@single_thread()
def train_head(
    features: Float[Tensor, "clip dim"],
    labels: Int64[Tensor, " clip"],
    *,
    fold: Fold,
    classes: int,
    config: TrainConfig,
    clip_ids: Sequence[str],
    progress: Progress,
) -> tuple[Head, list[dict[str, float]]]:
    """Train a head on the features of a fold's train side.

    Paper: IV-B3, one linear layer, AdamW 1e-2, weight decay 0.05. With a frozen
    encoder and no augmentation this equals training through the encoder.

    Args:
        features: Features of all clips.
        labels: Class of each clip.
        fold: Train side, and the sides that are scored after each epoch.
        classes: Number of classes.
        config: Settings.
        clip_ids: Name of each clip, for messages.
        progress: Receives each step and each epoch.

    Returns:
        The head, and one row per epoch.
    """
    torch.manual_seed(config.seed)
    head = Head(features.shape[1], classes)
    sampler = BatchSampler(fold.train, batch_size=config.batch_size, seed=config.seed)

    def epoch_batches(epoch: int, first_step: int) -> Iterator[trainer.StepBatch]:
        sampler.set_epoch(epoch, start_batch=first_step)
        for positions in sampler:
            index = torch.tensor(positions)
            batch = MicroBatch(x=features[index], target=labels[index])
            yield trainer.StepBatch(
                index=index, clips=len(index), split=partial(_single_micro_batch, batch)
            )

    state = TrainState(
        model=head,
        optimizer=create_optimizer(
            head, lr=config.lr, weight_decay=config.weight_decay
        ),
        set_lr=constant_lr,
        device=features.device,
    )
    plan = trainer.FitPlan(
        epoch_batches=epoch_batches,
        steps_per_epoch=len(sampler),
        epochs=config.epochs,
        validate=lambda model: validate(
            config, fold, labels, lambda index: _logits(model, features, index)
        ),
        patience=config.patience,
        clip_ids=clip_ids,
    )
    trainer.fit(state, plan, progress=progress)
    return head, state.history


def _single_micro_batch(batch: MicroBatch, _: int) -> Iterator[MicroBatch]:
    yield batch


def _logits(
    model: nn.Module,
    features: Float[Tensor, "clip dim"],
    index: Int64[np.ndarray, " side"],
) -> Float[Tensor, "side class"]:
    positions = torch.from_numpy(index)
    _, logits = evaluate.collect_outputs(
        model, [(positions, features[positions])], device=features.device
    )
    return logits
