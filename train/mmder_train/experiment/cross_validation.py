"""Cross-validation: strategies by folds; the only file that knows the order of things.

A fold that is finished is never trained again.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from mmder_store import FORMAT_VERSION
from mmder_store.atomic_files import atomic_write
from mmder_train import weights
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.evaluation import confusion_plot, metrics, summary
from mmder_train.evaluation.class_merging import available_merges
from mmder_train.evaluation.run_directory import (
    RESULTS_VERSION,
    FoldResult,
    RunDirectory,
)
from mmder_train.experiment.finetune import TUNING_METHODS
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext
from mmder_train.runtime.memory import keep_freed_memory

MAX_WORKERS = 8
"""Most processes that read for a GPU."""
PACKAGES = ("mmder", "numpy", "torch", "timm", "zarr")


def cross_validate(
    run: Experiment, folder: RunDirectory, *, save_weights: bool, means: RuntimeContext
) -> dict[str, Any]:
    """Train and test every fold that is not finished; give the results.

    Of several processes all train, and the first one writes.

    Args:
        run: From `trial.prepare`.
        folder: Where results go, opened; what is finished there is not done again.
        save_weights: Whether each fold's weights are kept.
        means: Readers, processes, and where progress goes.
    """
    todo = [_unfinished(t, folder, save_weights=save_weights) for t in run.strategies]
    recorded = folder.results()
    # Nobody writes before all have seen what is there.
    means.world.all_gather(None)
    if recorded is not None and not any(todo):
        return recorded
    say, leads = means.progress.log, means.world.is_primary
    if run.weights is None and run.config.method == "linear-probe":
        say("the frozen encoder has random weights: for trying, not for results")
    if run.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        keep_freed_memory()
    for trial, folds in zip(run.strategies, todo, strict=True):
        for note in trial.notes:
            say(f"{trial.strategy.name}: {note}")
        if not folds:
            continue
        for outcome in TUNING_METHODS[run.config.method](run, trial, folds, means):
            record = _record(trial, outcome)
            if leads:
                if save_weights:
                    _save(run, trial, outcome, folder=folder)
                folder.finish_fold(record)
            say(_line(record, outcome, classes=len(run.labels.classes)))
    means.world.all_gather(None)
    records = {t.strategy.name: _finished(t, folder) for t in run.strategies}
    results = _results(run, records)
    if leads:
        for name, found in results["strategies"].items():
            folder.write_predictions(name, records[name], run.labels.classes)
            with atomic_write(folder.confusion(name)) as draft:
                confusion_plot.draw_confusion(draft, name, found, run.labels.classes)
            for fewer in available_merges(run.labels, run.store.spec.label_sets):
                table = f"{name}-{fewer.labels.name}"
                joined = [fewer.merge(record) for record in records[name]]
                folder.write_predictions(table, joined, fewer.labels.classes)
        folder.finish(results)
    return results


def default_workers(config: TrainConfig) -> int:
    """Give a fitting number of processes that read: none on a CPU, which is busy."""
    gpu = config.device == "cuda"
    return min(MAX_WORKERS, os.cpu_count() or 1) if gpu else 0


def _unfinished(
    trial: StrategyRun, folder: RunDirectory, *, save_weights: bool
) -> tuple[Fold, ...]:
    name = trial.strategy.name
    return tuple(
        fold
        for fold in trial.folds
        if folder.fold(name, fold.number) is None
        or (save_weights and not folder.weights(name, fold.number).exists())
    )


def _finished(trial: StrategyRun, folder: RunDirectory) -> list[FoldResult]:
    found = [folder.fold(trial.strategy.name, f.number) for f in trial.folds]
    return [record for record in found if record is not None]


def _save(
    run: Experiment, trial: StrategyRun, outcome: FoldOutput, *, folder: RunDirectory
) -> None:
    about = {
        "encoder": run.config.encoder,
        "labels": run.labels.name,
        "classes": list(run.labels.classes),
        "strategy": trial.strategy.name,
        "fold": outcome.fold.number,
        "tested_speakers": list(outcome.fold.speakers),
        "trained_clips": [trial.clips.clip_id[i] for i in outcome.fold.train],
        "store_sha256": run.store.sha256,
        # So that a new clip can be prepared as these were, without the store.
        "preparation": {
            "format": FORMAT_VERSION,
            "settings": run.store.spec.settings.to_json(),
        },
        "config": run.config.to_json(),
    }
    encoder = outcome.encoder or run.initial_encoder()
    with atomic_write(
        folder.weights(trial.strategy.name, outcome.fold.number)
    ) as draft:
        weights.save_weights(draft, weights.to_state_dict(encoder, outcome.head), about)


def _record(trial: StrategyRun, outcome: FoldOutput) -> FoldResult:
    clips, fold = trial.clips, outcome.fold
    return FoldResult(
        strategy=trial.strategy.name,
        fold=fold.number,
        speakers=fold.speakers,
        train_clips=len(fold.train),
        validated=fold.val_speakers,
        history=tuple(outcome.history),
        clip_id=tuple(clips.clip_id[i] for i in fold.test),
        speaker=tuple(clips.speaker[i] for i in fold.test),
        label=tuple(clips.label[fold.test].tolist()),
        probability=tuple(map(tuple, outcome.logits.double().softmax(1).tolist())),
    )


def _line(record: FoldResult, outcome: FoldOutput, *, classes: int) -> str:
    counts = _counts(record, classes=classes)
    return (
        f"{record.strategy} fold {record.fold}: WAR {metrics.war(counts):.1%}, UAR "
        f"{metrics.uar(counts):.1%}, trained on {record.train_clips} clips, tested on "
        f"{len(record.label)}, epoch {record.epoch()}, {outcome.seconds:.1f} s"
    )


def _counts(
    record: FoldResult, *, classes: int
) -> Int64[np.ndarray, "{classes} {classes}"]:
    label = np.array(record.label, dtype=np.int64)
    return metrics.confusion(label, record.predicted(), classes=classes)


def _results(
    run: Experiment, records: Mapping[str, Sequence[FoldResult]]
) -> dict[str, Any]:
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
            for t in run.strategies
        },
    }


def _result(
    trial: StrategyRun, records: Sequence[FoldResult], run: Experiment
) -> dict[str, Any]:
    return {
        "equation": trial.strategy.equation,
        "clips": len(trial.clips.row),
        "left_out": trial.clips.excluded,
        "notes": trial.notes,
        **_summary(records, classes=len(run.labels.classes)),
        **_peer_style(records),
        "merged": [
            {
                "labels": fewer.labels.name,
                "title": fewer.title,
                "classes": list(fewer.labels.classes),
                **_summary(
                    [fewer.merge(record) for record in records],
                    classes=len(fewer.labels.classes),
                ),
            }
            for fewer in available_merges(run.labels, run.store.spec.label_sets)
        ],
    }


def _summary(records: Sequence[FoldResult], *, classes: int) -> dict[str, Any]:
    counts = {r.fold: _counts(r, classes=classes) for r in records}
    more = {
        r.fold: {
            "speakers": list(r.speakers),
            "train_clips": r.train_clips,
            "validated": list(r.validated),
            "epoch": r.epoch(),
            "train_loss": r.history[r.epoch() - 1]["loss"],
        }
        for r in records
    }
    return summary.summary(counts, more)


def _peer_style(records: Sequence[FoldResult]) -> dict[str, Any]:
    """Give what a choice of each fold's epoch by its test side would tell.

    Most papers report it. It is not a result: the test side took part in training.
    """
    if not records or "test_war" not in records[0].history[0]:
        return {}
    best = [max(r.history, key=lambda row: row["test_war"]) for r in records]
    return {
        "best_test_epoch": {
            "epochs": [int(row["epoch"]) for row in best],
            **{
                name: float(np.mean([row[f"test_{name}"] for row in best]))
                for name in ("war", "uar")
            },
        }
    }
