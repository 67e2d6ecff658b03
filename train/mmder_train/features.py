"""A frozen encoder's features, computed once, and heads trained from them."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmder_train import engine
from mmder_train.clips import shuffled
from mmder_train.config import TrainConfig
from mmder_train.encoders import Encoder
from mmder_train.schedule import adamw, constant
from mmder_train.videomae import Head

ENCODE_CLIPS = {"cpu": 8, "cuda": 32}
"""Clips through the frozen encoder at once."""


def pooled(
    encoder: Encoder, batches: engine.Inputs, *, device: torch.device
) -> Float[Tensor, "clip dim"]:
    """Give one vector a clip, in the order of the clips' positions."""
    index, features = engine.apply(encoder, batches, device=device)
    return features[index.argsort()]


def train_head(
    features: Float[Tensor, "clip dim"],
    labels: Int64[Tensor, " clip"],
    *,
    train: Int64[np.ndarray, " train"],
    classes: int,
    config: TrainConfig,
) -> tuple[Head, float]:
    """Train a head on some clips' features; give it and the last epoch's loss.

    Paper: IV-B3, one linear layer, AdamW 1e-2, weight decay 0.05. With a frozen
    encoder and no augmentation this equals training through the encoder.
    """
    torch.manual_seed(config.seed)
    head = Head(features.shape[1], classes)
    optimiser = adamw(head, lr=config.lr, weight_decay=config.weight_decay)
    loss, step = 0.0, 0
    for epoch in range(config.epochs):
        order = torch.from_numpy(shuffled(train, seed=config.seed, epoch=epoch))
        batches = [
            (index, features[index]) for index in torch.split(order, config.batch)
        ]
        loss = engine.train_one_epoch(
            head,
            batches,
            labels,
            optimiser=optimiser,
            set_rate=constant,
            first_step=step,
        )
        step += len(batches)
    return head, loss
