"""Assemble the contents of ``results.json`` from the results of the folds."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_store import LabelSet, Store
from mmder_train.evaluation import metrics, summary
from mmder_train.evaluation.class_merging import ClassMerge
from mmder_train.evaluation.run_directory import RESULTS_VERSION, FoldResult


def build_results(
    identity: Mapping[str, Any],
    store: Store,
    labels: LabelSet,
    *,
    packages: Sequence[str],
    strategies: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the contents of ``results.json``.

    Args:
        identity: Settings and store of the run, as in ``run.json``.
        store: Store of the run.
        labels: Label set of the run.
        packages: Names of the packages whose versions are recorded.
        strategies: Results by the name of the strategy or baseline.
    """
    return {
        "format": RESULTS_VERSION,
        "config": identity["config"],
        "store": {
            **identity["store"],
            "corpus": store.spec.corpus,
            "clips": len(store),
            "versions": dict(store.versions),
        },
        **{k: v for k, v in identity.items() if k == "test_stores"},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "classes": list(labels.classes),
        "strategies": dict(strategies),
    }


def fold_confusion(
    fold_result: FoldResult, *, classes: int
) -> Int64[np.ndarray, "{classes} {classes}"]:
    """Return the confusion matrix of a fold."""
    true = np.array(fold_result.label, dtype=np.int64)
    return metrics.confusion(true, fold_result.predicted(), classes=classes)


def score_strategy(
    fold_results: Sequence[FoldResult],
    *,
    labels: LabelSet,
    merges: Iterable[ClassMerge] = (),
) -> dict[str, Any]:
    """Return all scores of a strategy, in the form stored in ``results.json``.

    Args:
        fold_results: Results of its folds.
        labels: Label set that the folds were trained on.
        merges: Label sets with fewer classes to score as well.
    """
    return {
        **_score_folds(fold_results, classes=len(labels.classes)),
        **_best_test_epochs(fold_results),
        "merged": [
            {
                "labels": merge.labels.name,
                "title": merge.title,
                "classes": list(merge.labels.classes),
                **_score_folds(
                    [merge.merge(r) for r in fold_results],
                    classes=len(merge.labels.classes),
                ),
            }
            for merge in merges
        ],
    }


def _score_folds(fold_results: Sequence[FoldResult], *, classes: int) -> dict[str, Any]:
    counts = {r.fold: fold_confusion(r, classes=classes) for r in fold_results}
    details: Mapping[int, Mapping[str, Any]] = {
        r.fold: {
            "speakers": list(r.speakers),
            "train_clips": r.train_clips,
            "validated": list(r.validated),
            "epoch": r.epoch(),
            "train_loss": r.history[r.epoch() - 1]["loss"],
        }
        for r in fold_results
    }
    return {
        **summary.summarize_folds(counts, details),
        **_score_dropped(fold_results, classes=classes),
    }


def _score_dropped(
    fold_results: Sequence[FoldResult], *, classes: int
) -> dict[str, Any]:
    """Return the scores without each modality, empty if none was dropped."""
    names = fold_results[0].dropped if fold_results else ()
    scores = {}
    for name in names:
        counts = {
            r.fold: fold_confusion(r.without(name), classes=classes)
            for r in fold_results
        }
        details = {r.fold: {"speakers": list(r.speakers)} for r in fold_results}
        scores[name] = summary.summarize_folds(counts, details)
    return {"dropped": scores} if scores else {}


def _best_test_epochs(fold_results: Sequence[FoldResult]) -> dict[str, Any]:
    """Return the scores if each fold's epoch were chosen on its test side.

    Most papers report these scores. They are not a result, because the test side takes
    part in the training. Empty unless the test side was scored after each epoch.
    """
    if not fold_results or "test_war" not in fold_results[0].history[0]:
        return {}
    best = [max(r.history, key=lambda row: row["test_war"]) for r in fold_results]
    return {
        "best_test_epoch": {
            "epochs": [int(row["epoch"]) for row in best],
            **{
                name: float(np.mean([row[f"test_{name}"] for row in best]))
                for name in metrics.SCORES
            },
        }
    }
