"""Training states and micro-batches of a few numbers, for tests of the trainer."""

from collections.abc import Iterator
from typing import Any

import torch

from mmder_train.training import optim
from mmder_train.training.train_state import MicroBatch, TrainState


def make_state(model: torch.nn.Module, lr: float = 1e-2, **fields: Any) -> TrainState:
    """Return a training state with a constant learning rate on the CPU."""
    return TrainState(
        model=model,
        optimizer=optim.create_optimizer(model, lr=lr, weight_decay=0.05),
        set_lr=optim.constant_lr,
        device=torch.device("cpu"),
        **fields,
    )


def split_clips(
    x: torch.Tensor, target: torch.Tensor, number: int = 1
) -> Iterator[MicroBatch]:
    """Yield clips in a number of micro-batches."""
    for x_part, target_part in zip(x.chunk(number), target.chunk(number), strict=True):
        yield MicroBatch(x=x_part, target=target_part)
