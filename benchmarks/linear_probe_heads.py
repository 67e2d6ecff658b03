"""Heads of a linear probe: trained together, against one after the other.

The features have the size of RAVDESS with ViT-L: 1,440 clips of 1,024 numbers, with
eight strategies of six folds. Both ways run in rounds on few epochs, with one thread;
the time of an epoch does not depend on its number. Times are CPU times of the process,
which other programs on the machine change least.
"""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from mmder_train.data.sampler import BatchSampler
from mmder_train.models.videomae import Head
from mmder_train.runtime.memory import keep_freed_memory
from mmder_train.runtime.progress import silent
from mmder_train.training.batched_heads import (
    HeadPlan,
    HeadTask,
    TrainedHead,
    single_thread,
    train_heads,
)
from mmder_train.training.optim import constant_lr, create_optimizer
from mmder_train.training.train_state import MicroBatch, TrainState
from mmder_train.training.trainer import FitPlan, StepBatch, fit
from record import Figure, interleaved, main

CLIPS, DIM, CLASSES = 1440, 1024, 7
STRATEGIES, FOLDS = 8, 6
EPOCHS = 100


def measure(quick: bool) -> list[Figure]:
    """Time all heads together, and some heads one after the other."""
    keep_freed_memory()
    epochs, alone = (1, 2) if quick else (4, 6)
    tasks = make_tasks()
    plan = HeadPlan(
        classes=CLASSES,
        epochs=epochs,
        batch_size=16,
        lr=1e-2,
        weight_decay=0.05,
    )
    times = interleaved(
        {
            "together": lambda: train_heads(tasks, plan, progress=silent()),
            "alone": lambda: [train_alone(task, plan) for task in tasks[:alone]],
        },
        rounds=3,
        clock=time.process_time,
    )
    together = np.median(times["together"]) * EPOCHS / epochs
    one_by_one = np.median(times["alone"]) * EPOCHS / epochs * len(tasks) / alone
    return [
        Figure(
            name="heads: one after the other by all together",
            value=float(one_by_one / together),
            unit="x",
            better="more",
            goal=10,
        ),
        Figure(
            name="heads: 48 of 100 epochs together",
            value=float(together),
            unit="s",
            better="less",
            goal=30,
        ),
    ]


def make_tasks() -> list[HeadTask]:
    """Return a head for each strategy and fold, on random features."""
    generator = torch.Generator().manual_seed(0)
    labels = np.random.default_rng(0).integers(0, CLASSES, CLIPS)
    fold_of = np.arange(CLIPS) * FOLDS // CLIPS
    names = [str(i) for i in range(CLIPS)]
    return [
        HeadTask(
            title=f"{strategy} fold {fold}",
            features=features,
            labels=labels,
            train=np.flatnonzero(fold_of != fold),
            seed=0,
            clip_ids=names,
        )
        for strategy in range(STRATEGIES)
        for features in [torch.randn(CLIPS, DIM, generator=generator)]
        for fold in range(FOLDS)
    ]


@single_thread()
def train_alone(task: HeadTask, plan: HeadPlan) -> TrainedHead:
    """Train one head with the trainer's own loop, as fine-tuning does."""
    torch.manual_seed(task.seed)
    device = task.features.device
    head = Head(task.features.shape[1], plan.classes).to(device)
    labels = torch.from_numpy(task.labels).to(device)
    sampler = BatchSampler(task.train, batch_size=plan.batch_size, seed=task.seed)

    def epoch_batches(epoch: int, first_step: int) -> Iterator[StepBatch]:
        sampler.set_epoch(epoch, start_batch=first_step)
        for positions in sampler:
            index = torch.tensor(positions, device=device)
            batch = MicroBatch(x=task.features[index], target=labels[index])
            yield StepBatch(
                index=index, clips=len(index), split=partial(single_batch, batch)
            )

    optimizer = create_optimizer(head, lr=plan.lr, weight_decay=plan.weight_decay)
    state = TrainState(
        model=head,
        optimizer=optimizer,
        set_lr=constant_lr,
        device=device,
    )
    fit_plan = FitPlan(
        epoch_batches=epoch_batches,
        steps_per_epoch=len(sampler),
        epochs=plan.epochs,
        clip_ids=task.clip_ids,
    )
    fit(state, fit_plan, progress=silent())
    return TrainedHead(
        task=task,
        steps_per_epoch=len(sampler),
        head=head.eval(),
        history=state.history,
    )


def single_batch(batch: MicroBatch, _: int) -> Iterator[MicroBatch]:
    """Yield a batch that is not split."""
    yield batch


if __name__ == "__main__":
    main(measure)
