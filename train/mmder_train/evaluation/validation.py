"""Score validation speakers, or the test side, after each epoch."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional

from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.evaluation import metrics


def validate(
    config: TrainConfig,
    fold: Fold,
    labels: Int64[Tensor, " clip"],
    logits: Callable[[Int64[np.ndarray, " side"]], Tensor],
) -> dict[str, float]:
    """Return the loss and the scores of the sides of a fold that the settings request.

    The loss is the mean cross-entropy, without label smoothing.

    Args:
        config: Settings. `val` scores the validation speakers.
            `report_best_test_epoch` scores the test side, which is reported and never
            used to choose an epoch.
        fold: Fold with its sides.
        labels: Class of every clip.
        logits: Function that returns the logits of clips, by index.
    """
    sides = {
        "val": fold.val if config.val == "speakers" else None,
        "test": fold.test if config.report_best_test_epoch else None,
    }
    row = {}
    for name, index in sides.items():
        if index is not None:
            outputs = logits(index)
            loss = functional.cross_entropy(outputs.double(), labels[index])
            row[f"{name}_loss"] = loss.item()
            counts = metrics.confusion(
                labels[index].numpy(),
                outputs.argmax(1).numpy(),
                classes=outputs.shape[1],
            )
            for score, value in metrics.all_scores(counts).items():
                row[f"{name}_{score}"] = value
    return row
