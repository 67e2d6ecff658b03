"""TODO."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from mmder_train.evaluation import metrics

if TYPE_CHECKING:
    pass


def scores(counts: Int64[np.ndarray, "class class"]) -> dict[str, Any]:
    """Give WAR, UAR, recall by class (None where a class has no clip) and counts."""
    return {
        "clips": int(counts.sum()),
        "war": metrics.war(counts),
        "uar": metrics.uar(counts),
        "recall": [
            None if np.isnan(r) else r for r in metrics.recalls(counts).tolist()
        ],
        "confusion": counts.tolist(),
    }


def summary(
    counts: Mapping[int, Int64[np.ndarray, "class class"]],
    more: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any]:
    """Give scores by fold, their mean and standard deviation, and those of all clips.

    Args:
        counts: Confusion matrix by number of the fold.
        more: What else is known of each fold.
    """
    by_fold = [{"fold": k, **more[k], **scores(counts[k])} for k in counts]
    pooled = np.sum(list(counts.values()), axis=0)
    war, uar = metrics.chance(pooled)
    over = {name: [f[name] for f in by_fold] for name in ("war", "uar")}
    return {
        "folds": by_fold,
        "mean": {name: float(np.mean(values)) for name, values in over.items()},
        "std": {name: float(np.std(values)) for name, values in over.items()},
        "pooled": scores(pooled),
        "chance": {"war": war, "uar": uar},
    }
