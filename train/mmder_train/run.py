"""Cross-validation: strategies by folds; the only file that knows the order of things.

A fold that is finished is never trained again.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from mmder_store.files import beside
from mmder_train import metrics, report, weights
from mmder_train.folds import Fold
from mmder_train.records import FoldRecord, RunFolder
from mmder_train.trial import Run, Trial
from mmder_train.tuning import TUNING, Outcome

RESULTS_VERSION = 1
READERS = 8
"""Most processes that read for a GPU."""
PACKAGES = ("mmder", "numpy", "torch", "timm", "zarr")


def cross_validate(
    run: Run,
    folder: RunFolder,
    *,
    workers: int | None,
    save_weights: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train and test every fold that is not finished; give the results.

    Args:
        run: From `trial.prepare`.
        folder: Where results go; what is finished there is not done again.
        workers: Processes that read the store; None for a fitting number.
        save_weights: Whether each fold's weights are kept.
        say: Takes a line for the user.
    """
    folder.open(run.identity())
    todo = [_unfinished(t, folder, save_weights=save_weights) for t in run.trials]
    recorded = folder.results()
    if recorded is not None and not any(todo):
        return recorded
    if run.weights is None and run.config.tune == "head":
        say("the frozen encoder has random weights: for trying, not for results")
    gpu = run.device.type == "cuda"
    if gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    if workers is None:
        workers = min(READERS, os.cpu_count() or 1) if gpu else 0
    for trial, folds in zip(run.trials, todo, strict=True):
        for note in trial.notes:
            say(f"{trial.strategy.name}: {note}")
        if not folds:
            continue
        tune = TUNING[run.config.tune]
        for outcome in tune(run, trial, folds, workers=workers, say=say):
            if save_weights:
                _save(run, trial, outcome, folder=folder)
            record = _record(trial, outcome)
            folder.finish_fold(record)
            say(_line(record, outcome, classes=len(run.labels.classes)))
    records = {t.strategy.name: _finished(t, folder) for t in run.trials}
    results = _results(run, records)
    for name, found in results["strategies"].items():
        folder.write_predictions(name, records[name], run.labels.classes)
        with beside(folder.confusion(name)) as draft:
            report.draw_confusion(draft, name, found, run.labels.classes)
    folder.finish(results)
    return results


def _unfinished(
    trial: Trial, folder: RunFolder, *, save_weights: bool
) -> tuple[Fold, ...]:
    name = trial.strategy.name
    return tuple(
        fold
        for fold in trial.folds
        if folder.fold(name, fold.number) is None
        or (save_weights and not folder.weights(name, fold.number).exists())
    )


def _finished(trial: Trial, folder: RunFolder) -> list[FoldRecord]:
    found = [folder.fold(trial.strategy.name, f.number) for f in trial.folds]
    return [record for record in found if record is not None]


def _save(run: Run, trial: Trial, outcome: Outcome, *, folder: RunFolder) -> None:
    about = {
        "encoder": run.config.encoder,
        "labels": run.labels.name,
        "classes": list(run.labels.classes),
        "strategy": trial.strategy.name,
        "fold": outcome.fold.number,
        "tested_speakers": list(outcome.fold.speakers),
        "store_sha256": run.store.sha256,
        "config": run.config.to_json(),
    }
    with beside(folder.weights(trial.strategy.name, outcome.fold.number)) as draft:
        weights.save(draft, weights.flat(outcome.encoder, outcome.head), about)


def _record(trial: Trial, outcome: Outcome) -> FoldRecord:
    clips, fold = trial.clips, outcome.fold
    return FoldRecord(
        strategy=trial.strategy.name,
        fold=fold.number,
        speakers=fold.speakers,
        train_clips=len(fold.train),
        train_loss=outcome.loss,
        clip_id=tuple(clips.clip_id[i] for i in fold.test),
        speaker=tuple(clips.speaker[i] for i in fold.test),
        label=tuple(clips.label[fold.test].tolist()),
        probability=tuple(map(tuple, outcome.logits.double().softmax(1).tolist())),
    )


def _line(record: FoldRecord, outcome: Outcome, *, classes: int) -> str:
    counts = _counts(record, classes=classes)
    return (
        f"{record.strategy} fold {record.fold}: WAR {metrics.war(counts):.1%}, UAR "
        f"{metrics.uar(counts):.1%}, trained on {record.train_clips} clips, tested on "
        f"{len(record.label)}, {outcome.seconds:.1f} s"
    )


def _counts(
    record: FoldRecord, *, classes: int
) -> Int64[np.ndarray, "{classes} {classes}"]:
    label = np.array(record.label, dtype=np.int64)
    return metrics.confusion(label, record.predicted(), classes=classes)


def _results(run: Run, records: Mapping[str, Sequence[FoldRecord]]) -> dict[str, Any]:
    identity = run.identity()
    return {
        "format": RESULTS_VERSION,
        "config": identity["config"],
        "store": {
            **identity["store"],
            "corpus": run.store.spec.corpus,
            "clips": len(run.store),
            "versions": dict(run.store.versions),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "classes": list(run.labels.classes),
        "strategies": {
            t.strategy.name: _result(t, records[t.strategy.name], run)
            for t in run.trials
        },
    }


def _result(trial: Trial, records: Sequence[FoldRecord], run: Run) -> dict[str, Any]:
    classes = len(run.labels.classes)
    counts = {r.fold: _counts(r, classes=classes) for r in records}
    more = {
        r.fold: {
            "speakers": list(r.speakers),
            "train_clips": r.train_clips,
            "train_loss": r.train_loss,
        }
        for r in records
    }
    return {
        "equation": trial.strategy.equation,
        "clips": len(trial.clips.row),
        "left_out": trial.clips.left_out,
        "notes": trial.notes,
        **report.summary(counts, more),
    }
