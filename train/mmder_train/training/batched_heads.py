"""Training of many classification heads at once, as batched matrix products.

In every step each head receives a batch of its own clips. A head's result equals that
of training it separately, except for rounding.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from mmder_train.data.sampler import epoch_order
from mmder_train.models.videomae import EPSILON, Head
from mmder_train.runtime.metrics_file import Tags
from mmder_train.runtime.progress import Progress
from mmder_train.training.head_stack import HeadStack
from mmder_train.training.optim import create_optimizer
from mmder_train.training.trainer import non_finite_error, should_stop_early


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeadTask:
    """A head to train on the train side of one fold of one strategy."""

    title: str
    features: Float[Tensor, "row dim"]
    """Features, one row per clip unless `draw_rows` is set. Tasks may share them."""
    labels: Int64[np.ndarray, " clip"]
    """Class of every clip."""
    train: Int64[np.ndarray, " train"]
    """Positions of the training clips."""
    seed: int
    """Seed of the initial weights, and of the clips of each epoch."""
    clip_ids: Sequence[str]
    """Names of all clips, for messages."""
    draw_rows: Callable[[int], Int64[np.ndarray, " clip"]] | None = None
    """Function that returns the row of the features that each clip has in an epoch,
    from 0. None if row i is clip i in all epochs."""
    class_weight: Float64[np.ndarray, " class"] | None = None
    """Weight of each class in the loss. None for equal weights."""
    validate: Callable[[nn.Module], Mapping[str, float]] = lambda _: {}
    """Function that returns ``val_uar`` and other scores for the epoch's row."""
    tags: Tags = field(default_factory=dict)
    """Tags of the head in the metrics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadPlan:
    """Settings that all heads share."""

    classes: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    balanced: bool = False
    """True to draw all classes equally often, False to shuffle the clips."""
    patience: int = 0
    """Number of epochs without a better ``val_uar`` after which a head is finished. 0
    disables early stopping."""


@dataclass(kw_only=True, slots=True, eq=False)
class TrainedHead:
    """A head and its progress."""

    task: HeadTask
    steps_per_epoch: int
    head: Head
    """The head after the epoch with the best ``val_uar``, the first of equal ones.
    Without validation, after the last epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row per epoch."""
    best_uar: float = -math.inf
    loss_sum: float = 0.0
    """Sum of the losses of the current epoch's clips."""
    finished: bool = False


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute in one thread. Several are slower here, and round in another way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@single_thread()
def train_heads(
    tasks: Sequence[HeadTask], plan: HeadPlan, *, progress: Progress
) -> list[TrainedHead]:
    """Train a head for each task, and return all of them.

    Paper: IV-B3, one linear layer, AdamW 1e-2, weight decay 0.05. With a frozen encoder
    and no augmentation this equals training through the encoder.

    All heads take each step together, whatever their number of steps per epoch. A
    finished head stays in the stack, and its parameters are not read again.

    Args:
        tasks: Features, classes and training clips of each head.
        plan: Settings that all heads share.
        progress: Receives the number of clips, and each epoch.

    Raises:
        MmderError: If a loss is not finite.
    """
    x, first_row = _normalize([task.features for task in tasks])
    initial = {}
    for seed in dict.fromkeys(task.seed for task in tasks):
        torch.manual_seed(seed)
        initial[seed] = Head(x.shape[1], plan.classes).to(x)
    stack = HeadStack([initial[task.seed] for task in tasks])
    current = copy.deepcopy(initial[tasks[0].seed])
    optimizer = create_optimizer(stack, lr=plan.lr, weight_decay=plan.weight_decay)
    heads = [
        TrainedHead(
            task=task,
            steps_per_epoch=-(-len(task.train) // plan.batch_size),
            head=copy.deepcopy(initial[task.seed]),
        )
        for task in tasks
    ]
    progress.start_epochs([task.tags for task in tasks])
    step = 0
    while running := [head for head in heads if not head.finished]:
        # Up to the next end of an epoch. Losses are copied from a GPU only there.
        end = min((step // h.steps_per_epoch + 1) * h.steps_per_epoch for h in running)
        batches = [_batches(head, plan, range(step, end)) for head in heads]
        position, row, clip_weight = (
            np.stack(arrays, axis=1) for arrays in zip(*batches, strict=True)
        )
        target = np.stack(
            [t.labels[position[:, k]] for k, t in enumerate(tasks)], axis=1
        )
        losses = []
        for index, y, w in zip(
            torch.from_numpy(row + first_row[:, None]).to(x.device),
            torch.from_numpy(target).to(x.device),
            torch.from_numpy(clip_weight).to(x),
            strict=True,
        ):
            batch = x.index_select(0, index.flatten()).view(*index.shape, -1)
            losses.append(stack.backward(batch, y, w))
            optimizer.step()
        mean_loss = torch.stack(losses).double().cpu().numpy()
        sizes = (clip_weight > 0).sum(2)
        for k, head in enumerate(heads):
            if head.finished:
                continue
            _check_finite(head.task, mean_loss[:, k], position[:, k], step)
            head.loss_sum += float(mean_loss[:, k] @ sizes[:, k])
            progress.step(clips=int(sizes[:, k].sum()), waited_s=0.0)
            if end % head.steps_per_epoch == 0:
                stack.copy_to(current, k)
                _end_epoch(head, current, plan, progress)
        step = end
    return heads


def _normalize(
    features: Sequence[Tensor],
) -> tuple[Float[Tensor, "row dim"], Int64[np.ndarray, " head"]]:
    """Apply the part of the heads' LayerNorm that has no parameters.

    Args:
        features: Features of each head, of shape (row, dim). The numbers of rows can
            differ.

    Returns:
        All features, once even if heads share them, and the first row of each head's.
    """
    distinct = {id(tensor): tensor for tensor in features}
    starts = np.cumsum([0, *(len(tensor) for tensor in distinct.values())])
    first = dict(zip(distinct, starts, strict=False))
    x = torch.cat(
        [functional.layer_norm(t, t.shape[1:], eps=EPSILON) for t in distinct.values()]
    )
    return x, np.array([first[id(tensor)] for tensor in features], dtype=np.int64)


def _batches(
    head: TrainedHead, plan: HeadPlan, steps: range
) -> tuple[
    Int64[np.ndarray, "step batch"],
    Int64[np.ndarray, "step batch"],
    Float64[np.ndarray, "step batch"],
]:
    """Return the batches of some steps, which belong to one epoch.

    Returns:
        Positions of the clips, their rows of the features, and the weight of each: that
        of its class, divided by the number of clips of its batch. The last batch is
        filled up with clips of weight 0. A finished head has no others.
    """
    if head.finished:
        empty = np.zeros((len(steps), plan.batch_size))
        return empty.astype(np.int64), empty.astype(np.int64), empty
    train = head.task.train
    epoch, first = divmod(steps.start, head.steps_per_epoch)
    shape = (head.steps_per_epoch, plan.batch_size)
    position, weight = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    labels = head.task.labels
    position.flat[: len(train)] = epoch_order(
        train,
        labels[train] if plan.balanced else None,
        seed=head.task.seed,
        epoch=epoch,
    )
    weight.flat[: len(train)] = 1
    weight /= weight.sum(1, keepdims=True)
    if head.task.class_weight is not None:
        weight *= head.task.class_weight[labels[position]]
    part = slice(first, first + len(steps))
    rows = (
        position
        if head.task.draw_rows is None
        else head.task.draw_rows(epoch)[position]
    )
    return position[part], rows[part], weight[part]


def _check_finite(
    task: HeadTask,
    losses: Float64[np.ndarray, " step"],
    positions: Int64[np.ndarray, "step batch"],
    first_step: int,
) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        clips = dict.fromkeys(positions[bad[0]].tolist())
        raise non_finite_error(
            float(losses[bad[0]]),
            step=first_step + int(bad[0]) + 1,
            clip_ids=[task.clip_ids[i] for i in clips],
            title=task.title,
        )


def _end_epoch(
    head: TrainedHead, current: Head, plan: HeadPlan, progress: Progress
) -> None:
    """Score a head after an epoch, keep it if it is the best, and log the epoch."""
    row: dict[str, Any] = {
        "epoch": len(head.history) + 1,
        "loss": head.loss_sum / len(head.task.train),
    }
    row |= head.task.validate(current)
    head.loss_sum = 0.0
    if "val_uar" not in row or row["val_uar"] > head.best_uar:
        head.best_uar = row.get("val_uar", head.best_uar)
        head.head.load_state_dict(current.state_dict())
    head.history.append(row)
    head.finished = len(head.history) == plan.epochs or should_stop_early(
        head.history, plan.patience
    )
    progress.epoch(row, lr=plan.lr, title=head.task.title, tags=head.task.tags)
