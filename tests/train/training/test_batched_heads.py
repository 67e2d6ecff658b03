"""Heads that are trained together, compared with heads that are trained one by one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn
from torch.nn import functional

from mmder_store.errors import MmderError
from mmder_train.data.class_weights import class_weight
from mmder_train.models.videomae import Head
from mmder_train.runtime.progress import silent
from mmder_train.training.batched_heads import (
    HeadPlan,
    HeadTask,
    TrainedHead,
    train_heads,
)

CLIPS, DIM, CLASSES = 60, 16, 5
PLAN = HeadPlan(classes=CLASSES, epochs=8, batch_size=8, lr=1e-2, weight_decay=0.05)
LABELS = np.random.default_rng(5).integers(0, CLASSES, CLIPS)


def make_features(seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return features in which the class of a clip can be seen through noise."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(CLASSES, DIM, generator=generator)
    noise = torch.randn(CLIPS, DIM, generator=generator)
    return (5 + means[torch.from_numpy(LABELS)] + noise).to(dtype)


def make_task(
    features: torch.Tensor, train: NDArray[np.int64], seed: int = 3, **fields: Any
) -> HeadTask:
    names = [f"clip-{i}" for i in range(CLIPS)]
    return HeadTask(
        title="fold",
        features=features,
        labels=LABELS,
        train=train,
        seed=seed,
        clip_ids=names,
        **fields,
    )


def make_tasks(dtype: torch.dtype = torch.float32) -> list[HeadTask]:
    """Return heads on two sets of features, with 6, 5, 3 and 6 steps per epoch."""
    first, second = make_features(0, dtype), make_features(1, dtype)
    return [
        make_task(first, np.arange(0, 47)),
        make_task(first, np.arange(20, 60)),
        make_task(second, np.arange(1, 60, 3)),
        make_task(second, np.arange(0, 43)),
    ]


def train_alone(task: HeadTask, plan: HeadPlan) -> tuple[Head, list[float]]:
    """Train one head with autograd and a plain AdamW: the definition of the result."""
    torch.manual_seed(task.seed)
    head = Head(task.features.shape[1], plan.classes).to(task.features.dtype)
    plain = [head.fc_norm.weight, head.fc_norm.bias, head.head.bias]
    optimizer = torch.optim.AdamW(
        [
            {"params": [head.head.weight], "weight_decay": plan.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=plan.lr,
        foreach=False,
    )
    labels = torch.from_numpy(task.labels)
    losses = []
    for epoch in range(plan.epochs):
        rng = np.random.default_rng([task.seed, epoch])
        order = rng.permutation(task.train)
        if plan.balanced:
            weights = compute_sample_weight("balanced", task.labels[task.train])
            p = weights / weights.sum()
            rng = np.random.default_rng([task.seed, epoch])
            order = rng.choice(task.train, size=len(task.train), p=p)
        total = 0.0
        for index in torch.split(torch.from_numpy(order), plan.batch_size):
            by_clip = functional.cross_entropy(
                head(task.features[index]), labels[index], reduction="none"
            )
            if task.class_weight is not None:
                by_clip = by_clip * torch.from_numpy(task.class_weight)[labels[index]]
            loss = by_clip.mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / len(task.train))
    return head, losses


def assert_equal(trained: TrainedHead, plan: HeadPlan, tolerance: float) -> None:
    """Compare a head with the one that is trained alone."""
    head, losses = train_alone(trained.task, plan)
    for name, parameter in head.state_dict().items():
        torch.testing.assert_close(
            trained.head.state_dict()[name], parameter, atol=tolerance, rtol=0
        )
    assert [r["loss"] for r in trained.history] == pytest.approx(losses, abs=tolerance)
    assert [r["epoch"] for r in trained.history] == list(range(1, plan.epochs + 1))
    features = trained.task.features
    with torch.no_grad():
        assert torch.equal(trained.head(features).argmax(1), head(features).argmax(1))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)]
)
def test_heads_equal_those_trained_one_by_one(
    dtype: torch.dtype, tolerance: float
) -> None:
    """They have other numbers of steps per epoch, and partial last batches."""
    trained = train_heads(make_tasks(dtype), PLAN, progress=silent())
    assert len(trained) == 4
    for head in trained:
        assert_equal(head, PLAN, tolerance)
    assert trained[0].history[-1]["loss"] < trained[0].history[0]["loss"] / 2


def test_heads_of_several_seeds_equal_those_trained_one_by_one() -> None:
    """Each starts from the weights of its seed and has the clips in its order."""
    features, train = make_features(0, torch.float64), np.arange(47)
    tasks = [make_task(features, train, seed=seed) for seed in (3, 0, 7, 0)]
    trained = train_heads(tasks, PLAN, progress=silent())
    for head in trained:
        assert_equal(head, PLAN, 1e-12)
    third, first, _, again = (head.history for head in trained)
    assert first == again
    assert first != third


def test_weighted_and_balanced_heads_equal_those_trained_one_by_one() -> None:
    """Class 0 is rare, and absent from one of the train sides."""
    tasks = make_tasks(torch.float64)
    labels = LABELS.copy()
    labels[np.flatnonzero(labels == 0)[3:]] = 1
    present = labels[tasks[2].train] != 0
    tasks[2] = replace(tasks[2], train=tasks[2].train[present])
    tasks = [replace(task, labels=labels) for task in tasks]
    weighted = [
        replace(
            task,
            class_weight=class_weight("balanced", labels[task.train], classes=CLASSES),
        )
        for task in tasks
    ]
    balanced = replace(PLAN, balanced=True)
    for some, plan in ((weighted, PLAN), (tasks, balanced)):
        for head in train_heads(some, plan, progress=silent()):
            assert_equal(head, plan, 1e-12)


def test_a_head_does_not_depend_on_the_others() -> None:
    """A difference of rounding alone is allowed."""
    together = train_heads(make_tasks(), PLAN, progress=silent())
    for number, task in enumerate(make_tasks()):
        (alone,) = train_heads([task], PLAN, progress=silent())
        torch.testing.assert_close(
            alone.head.state_dict(),
            together[number].head.state_dict(),
            atol=1e-6,
            rtol=0,
        )


def test_the_same_heads_have_the_same_bits() -> None:
    one, two = (train_heads(make_tasks(), PLAN, progress=silent()) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert a.history == b.history
        for name, parameter in a.head.state_dict().items():
            assert torch.equal(parameter, b.head.state_dict()[name])


def test_the_head_of_the_best_epoch_is_kept_and_patience_ends_it() -> None:
    """The best of the scores .3 .5 .5 .4 is that of the second epoch."""
    scores = [0.3, 0.5, 0.5, 0.4, 0.9]
    seen: list[Mapping[str, torch.Tensor]] = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"val_uar": scores[len(seen) - 1]}

    rising = iter(range(100))
    tasks = [
        replace(task, validate=lambda _: {"val_uar": float(next(rising))})
        for task in make_tasks()
    ]
    tasks[1] = replace(tasks[1], validate=validate)
    plan = replace(PLAN, epochs=5, patience=2)
    trained = train_heads(tasks, plan, progress=silent())
    assert [r["val_uar"] for r in trained[1].history] == scores[:4]
    for name, parameter in trained[1].head.state_dict().items():
        assert torch.equal(parameter, seen[1][name])
    for number in (0, 2, 3):
        assert_equal(trained[number], plan, 1e-5)


def test_a_loss_that_is_not_finite_names_the_clips() -> None:
    features = make_features(0)
    features[7] = torch.inf
    tasks = [
        make_task(make_features(1), np.arange(8)),
        make_task(features, np.arange(8)),
    ]
    with pytest.raises(MmderError, match=r"fold, step 1: the loss is nan, with clips"):
        train_heads(tasks, PLAN, progress=silent())
    # Clips that are not trained on do no harm.
    train_heads([make_task(features, np.arange(7))], PLAN, progress=silent())


def test_rows_of_the_features_can_be_drawn_for_each_epoch() -> None:
    """The first epoch uses the first half of the rows, the second epoch the other.

    The result equals that of features that are exchanged between the epochs.
    """
    first, second = make_features(0), make_features(1)
    train = np.arange(0, 47)
    plan = replace(PLAN, epochs=2)
    task = make_task(
        torch.cat([first, second]),
        train,
        draw_rows=lambda epoch: np.arange(CLIPS) + CLIPS * epoch,
    )
    (drawn,) = train_heads([task], plan, progress=silent())
    labels = torch.from_numpy(LABELS)
    torch.manual_seed(task.seed)
    head = Head(DIM, CLASSES)
    others = [p for p in head.parameters() if p is not head.head.weight]
    optimizer = torch.optim.AdamW(
        [
            {"params": [head.head.weight], "weight_decay": plan.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=plan.lr,
    )
    for epoch, features in enumerate((first, second)):
        order = np.random.default_rng([task.seed, epoch]).permutation(train)
        for start in range(0, len(order), plan.batch_size):
            index = torch.from_numpy(order[start : start + plan.batch_size])
            loss = functional.cross_entropy(head(features[index]), labels[index])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    for name, tensor in head.state_dict().items():
        torch.testing.assert_close(
            drawn.head.state_dict()[name], tensor, atol=1e-5, rtol=1e-4
        )
