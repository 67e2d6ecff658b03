"""What is scored after each epoch: who is kept for validation, or the peers' way."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.evaluation import metrics


def validate(
    config: TrainConfig,
    fold: Fold,
    labels: Int64[Tensor, " clip"],
    logits: Callable[[Int64[np.ndarray, " side"]], Tensor],
) -> dict[str, float]:
    """Score the sides of a fold that the settings want scored after each epoch.

    Args:
        config: `val` scores those kept for validation; `peer_style` the test side,
            to be reported and never to be chosen by.
        fold: Its sides.
        labels: Class of every clip.
        logits: Gives the logits of clips.
    """
    sides = {
        "val": fold.val if config.val == "speakers" else None,
        "test": fold.test if config.report_best_test_epoch else None,
    }
    row = {}
    for name, index in sides.items():
        if index is not None:
            found = logits(index)
            counts = metrics.confusion(
                labels[index].numpy(), found.argmax(1).numpy(), classes=found.shape[1]
            )
            row[f"{name}_war"] = metrics.war(counts)
            row[f"{name}_uar"] = metrics.uar(counts)
    return row
