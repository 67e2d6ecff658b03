"""`--method linear-probe`: a clip goes through the frozen encoder once, whatever the folds."""

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
    run: Experiment, trial: StrategyRun, todo: Sequence[Fold], means: RuntimeContext
) -> Iterator[FoldOutput]:
    """Get every clip's features, then train a head for each fold."""
    every = select_encodable(run.store, strategy=trial.strategy)
    found = load_or_extract_features(run, replace(trial, clips=every), means)
    # In the order of the trial's clips, which are some of these.
    found = found[np.searchsorted(every.row, trial.clips.row)]
    labels = torch.from_numpy(trial.clips.label)
    for fold in todo:
        start = time.monotonic()
        means.progress.begin(
            f"{trial.strategy.name} fold {fold.number}",
            clips=run.config.epochs * len(fold.train),
        )
        head, history = train_head(
            found,
            labels,
            fold=fold,
            classes=len(run.labels.classes),
            config=run.config,
            clip_ids=trial.clips.clip_id,
            progress=means.progress,
        )
        test = torch.from_numpy(fold.test)
        _, logits = evaluate.collect_outputs(
            head, [(test, found[test])], device=labels.device
        )
        yield FoldOutput(
            fold=fold,
            logits=logits,
            history=history,
            encoder=None,
            head=head,
            seconds=time.monotonic() - start,
        )


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep products of a few thousand numbers in one thread: two only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    """Train a head on some clips' features; give it and one row an epoch.

    Paper: IV-B3, one linear layer, AdamW 1e-2, weight decay 0.05. With a frozen
    encoder and no augmentation this equals training through the encoder.
    """
    torch.manual_seed(config.seed)
    head = Head(features.shape[1], classes)
    order = BatchSampler(fold.train, batch=config.batch_size, seed=config.seed)

    def lessons(epoch: int, done: int) -> Iterator[trainer.StepBatch]:
        order.epoch, order.skip = epoch, done
        for positions in order:
            index = torch.tensor(positions)
            part = MicroBatch(x=features[index], target=labels[index])
            yield trainer.StepBatch(
                index=index, clips=len(index), parts=partial(_single_micro_batch, part)
            )

    learner = TrainState(
        model=head,
        optimizer=create_optimizer(
            head, lr=config.lr, weight_decay=config.weight_decay
        ),
        set_lr=constant_lr,
        device=features.device,
    )
    course = trainer.FitPlan(
        epoch_batches=lessons,
        steps_per_epoch=len(order),
        epochs=config.epochs,
        validate=lambda model: validate(
            config, fold, labels, lambda index: _logits(model, features, index)
        ),
        patience=config.patience,
        clip_ids=clip_ids,
    )
    trainer.fit(learner, course, progress=progress)
    return head, learner.history


def _single_micro_batch(part: MicroBatch, _: int) -> Iterator[MicroBatch]:
    yield part


def _logits(
    model: nn.Module,
    features: Float[Tensor, "clip dim"],
    index: Int64[np.ndarray, " side"],
) -> Float[Tensor, "side class"]:
    some = torch.from_numpy(index)
    _, logits = evaluate.collect_outputs(
        model, [(some, features[some])], device=features.device
    )
    return logits
