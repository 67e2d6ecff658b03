"""Heads trained from stored features: seconds, since the encoder is out of the loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train import engine
from mmder_train.clips import Order
from mmder_train.config import TrainConfig
from mmder_train.folds import Fold
from mmder_train.judging import judged
from mmder_train.learner import Learner, Part
from mmder_train.progress import Progress
from mmder_train.schedule import adamw, constant
from mmder_train.videomae import Head


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep products of a few thousand numbers in one thread: two only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
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
    order = Order(fold.train, batch=config.batch, seed=config.seed)

    def lessons(epoch: int, done: int) -> Iterator[engine.Lesson]:
        order.epoch, order.skip = epoch, done
        for positions in order:
            index = torch.tensor(positions)
            part = Part(x=features[index], target=labels[index])
            yield engine.Lesson(
                index=index, clips=len(index), parts=partial(_one, part)
            )

    learner = Learner(
        model=head,
        optimiser=adamw(head, lr=config.lr, weight_decay=config.weight_decay),
        set_rate=constant,
        device=features.device,
    )
    course = engine.Course(
        lessons=lessons,
        steps=len(order),
        epochs=config.epochs,
        judge=lambda model: judged(
            config, fold, labels, lambda index: _logits(model, features, index)
        ),
        patience=config.patience,
        clip_ids=clip_ids,
    )
    engine.learn(learner, course, progress=progress)
    return head, learner.history


def _one(part: Part, _: int) -> Iterator[Part]:
    yield part


def _logits(
    model: nn.Module,
    features: Float[Tensor, "clip dim"],
    index: Int64[np.ndarray, " side"],
) -> Float[Tensor, "side class"]:
    some = torch.from_numpy(index)
    _, logits = engine.apply(model, [(some, features[some])], device=features.device)
    return logits
