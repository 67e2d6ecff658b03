"""Finished runs with random predictions, as `mmder-train` writes them."""

import csv
from pathlib import Path

import numpy as np

from mmder_store.emotions import LABEL_SETS
from mmder_train.evaluation import summary
from mmder_train.evaluation.metrics import confusion
from mmder_train.evaluation.run_directory import (
    RESULTS_VERSION,
    FoldResult,
    RunDirectory,
)

SPEAKERS = [f"{i:02d}" for i in range(1, 9)]


def make_run(
    path: Path,
    *,
    strategy: str = "cfas",
    labels: str = "ravdess-7",
    skill: float = 0.5,
    seed: int | None = 0,
    draws: int = 0,
    dropped: str = "",
    **config: object,
) -> None:
    """Write a finished run of two folds with four speakers each.

    Args:
        path: Folder of the run.
        strategy: Name of its strategy.
        labels: Name of its label set.
        skill: Fraction of the clips that are predicted correctly on purpose.
        seed: Seed in its settings. None for none, as in a baseline.
        draws: Additional seed of the predictions.
        dropped: Modality without which the clips are predicted as well, always as the
            first class.
        config: Other settings.
    """
    classes = LABEL_SETS[labels].classes
    rng = np.random.default_rng([draws, seed or 0])
    fold_results = []
    for fold in (1, 2):
        speakers = SPEAKERS[4 * fold - 4 : 4 * fold]
        speaker = tuple(s for s in speakers for _ in range(3 * len(classes)))
        label = np.resize(np.arange(len(classes)), len(speaker))
        guess = rng.integers(len(classes), size=len(label))
        best = np.where(rng.random(len(label)) < skill, label, guess)
        probability = np.full((len(label), len(classes)), 0.01)
        probability[np.arange(len(label)), best] = 1 - 0.01 * (len(classes) - 1)
        fold_results.append(
            FoldResult(
                strategy=strategy,
                fold=fold,
                speakers=tuple(speakers),
                train_clips=1,
                validated=(),
                history=({"epoch": 1, "loss": 0.5},),
                clip_id=tuple(f"f{fold}-{i}" for i in range(len(label))),
                speaker=speaker,
                label=tuple(label.tolist()),
                probability=tuple(map(tuple, probability.tolist())),
                dropped={dropped: ((1.0,) + (0.0,) * (len(classes) - 1),) * len(label)}
                if dropped
                else {},
            )
        )
    counts = {
        r.fold: confusion(np.array(r.label), r.predicted(), classes=len(classes))
        for r in fold_results
    }
    identity = {
        "config": {
            "strategies": [strategy],
            "labels": labels,
            "protocol": "ravdess-contiguous-6",
            **({} if seed is None else {"seed": seed}),
            **config,
        },
        "store": {"name": "store", "sha256": "0" * 64, "corpus": "ravdess"},
    }
    run_dir = RunDirectory(path=path)
    run_dir.open(identity)
    for fold_result in fold_results:
        run_dir.finish_fold(fold_result)
    run_dir.write_predictions(strategy, fold_results, classes)
    details = {r.fold: {"speakers": list(r.speakers)} for r in fold_results}
    scores = summary.summarize_folds(counts, details)
    if dropped:
        without = [r.without(dropped) for r in fold_results]
        run_dir.write_predictions(f"{strategy}-no-{dropped}", without, classes)
        counts = {
            r.fold: confusion(np.array(r.label), r.predicted(), classes=len(classes))
            for r in without
        }
        summarized = summary.summarize_folds(counts, {k: {} for k in counts})
        scores |= {"dropped": {dropped: summarized}}
    run_dir.finish(
        {
            "format": RESULTS_VERSION,
            **identity,
            "classes": list(classes),
            "strategies": {strategy: {"equation": "eq. 1", "warnings": [], **scores}},
        }
    )


def read_own_rows(folder: str = "compare") -> list[dict[str, str]]:
    """Return the rows of a report that are runs."""
    with Path(folder, "compare.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == "own"]


def read_predictions(run: str, strategy: str = "cfas") -> tuple[list[str], list[str]]:
    """Return the true and the predicted classes of a run."""
    text = Path(run, f"predictions-{strategy}.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    return [r["true"] for r in rows], [r["predicted"] for r in rows]
