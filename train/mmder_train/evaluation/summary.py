"""Summarize confusion matrices as scores, in the form stored in ``results.json``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_train.evaluation import metrics


def scores(counts: Int64[np.ndarray, "class class"]) -> dict[str, Any]:
    """Return the number of clips, all scores, recall per class and the counts.

    The recall of a class without clips is None.
    """
    return {
        "clips": int(counts.sum()),
        **metrics.all_scores(counts),
        "recall": [
            None if np.isnan(r) else r for r in metrics.recalls(counts).tolist()
        ],
        "confusion": counts.tolist(),
    }


def summarize_folds(
    counts: Mapping[int, Int64[np.ndarray, "class class"]],
    details: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the scores per fold, their mean and std, and the scores of all clips.

    Args:
        counts: Confusion matrix by fold number.
        details: Other entries by fold number, added to the scores of the fold.
    """
    by_fold = [{"fold": k, **details[k], **scores(counts[k])} for k in counts]
    pooled = np.sum(list(counts.values()), axis=0)
    values = {name: [f[name] for f in by_fold] for name in metrics.SCORES}
    return {
        "folds": by_fold,
        "mean": {name: float(np.mean(v)) for name, v in values.items()},
        "std": {name: float(np.std(v)) for name, v in values.items()},
        "pooled": scores(pooled),
        "chance": dict(zip(metrics.SCORES, metrics.chance(pooled), strict=True)),
    }
