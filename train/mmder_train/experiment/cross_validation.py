"""Cross-validation: train and test each strategy on each fold, and write the results.

A finished fold is never trained again.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from mmder_store import FORMAT_VERSION
from mmder_store.atomic_files import atomic_write
from mmder_train import weights
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.evaluation import metrics
from mmder_train.evaluation.build_results import fold_confusion, score_strategy
from mmder_train.evaluation.class_merging import ClassMerge, available_merges
from mmder_train.evaluation.run_directory import (
    RESULTS_VERSION,
    FoldResult,
    RunDirectory,
)
from mmder_train.evaluation.write_results import write_results
from mmder_train.experiment.finetune import finetune
from mmder_train.experiment.linear_probe import linear_probe
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext, TuningMethod
from mmder_train.runtime.memory import keep_freed_memory
from mmder_train.weights import seen_clips

MAX_WORKERS = 8
"""Maximum number of processes that read for a GPU."""
PACKAGES = ("mmder", "numpy", "torch", "timm", "zarr")
"""Packages whose versions are saved with the results."""
TUNING_METHODS: dict[str, TuningMethod] = {
    "linear-probe": linear_probe,
    "finetune": finetune,
}
"""Training methods by the value of `--method`."""


def cross_validate(
    experiment: Experiment,
    directory: RunDirectory,
    *,
    save_weights: bool,
    context: RuntimeContext,
) -> dict[str, Any]:
    """Train and test every unfinished fold, and return the results of the run.

    All training processes train. The primary process writes.

    Args:
        experiment: Run from `setup.setup_experiment`.
        directory: Opened folder of the run. Folds that are finished there are reused.
        save_weights: True to save the weights of each fold.
        context: Runtime resources.
    """
    unfinished = [
        _unfinished_folds(s, directory, save_weights=save_weights)
        for s in experiment.strategies
    ]
    results = directory.results()
    # No process writes before all have read what is there.
    context.world.all_gather(None)
    if results is not None and not any(unfinished):
        return results
    _prepare_process(experiment, context)
    for strategy_run, folds in zip(experiment.strategies, unfinished, strict=True):
        _train_folds(experiment, strategy_run, folds, directory, save_weights, context)
    context.world.all_gather(None)
    merges = available_merges(experiment.labels, experiment.store.spec.label_sets)
    fold_results = {
        s.strategy.name: _read_folds(s, directory) for s in experiment.strategies
    }
    results = _build_results(experiment, fold_results, merges)
    if context.world.is_primary:
        write_results(directory, results, fold_results, merges=merges)
    return results


def default_workers(config: TrainConfig) -> int:
    """Return the default number of reader processes: none on a CPU, which is busy."""
    gpu = config.device == "cuda"
    return min(MAX_WORKERS, os.cpu_count() or 1) if gpu else 0


def _unfinished_folds(
    strategy_run: StrategyRun, directory: RunDirectory, *, save_weights: bool
) -> tuple[Fold, ...]:
    name = strategy_run.strategy.name
    return tuple(
        fold
        for fold in strategy_run.folds
        if directory.fold(name, fold.number) is None
        or (save_weights and not directory.weights(name, fold.number).exists())
    )


def _read_folds(strategy_run: StrategyRun, directory: RunDirectory) -> list[FoldResult]:
    name = strategy_run.strategy.name
    fold_results = [directory.fold(name, f.number) for f in strategy_run.folds]
    return [r for r in fold_results if r is not None]


def _prepare_process(experiment: Experiment, context: RuntimeContext) -> None:
    """Warn of random weights, and configure torch and the memory allocator."""
    if experiment.weights is None and experiment.config.method == "linear-probe":
        context.progress.log(
            "the frozen encoder has random weights: for trying out, not for results"
        )
    if experiment.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        keep_freed_memory()


def _train_folds(
    experiment: Experiment,
    strategy_run: StrategyRun,
    folds: Sequence[Fold],
    directory: RunDirectory,
    save_weights: bool,
    context: RuntimeContext,
) -> None:
    """Train and test the unfinished folds of a strategy, and write each of them."""
    log = context.progress.log
    for warning in strategy_run.warnings:
        log(f"{strategy_run.strategy.name}: {warning}")
    if not folds:
        return
    method = TUNING_METHODS[experiment.config.method]
    for output in method(experiment, strategy_run, folds, context):
        fold_result = _fold_result(strategy_run, output)
        if context.world.is_primary:
            if save_weights:
                _save_weights(experiment, strategy_run, output, directory)
            directory.finish_fold(fold_result)
        classes = len(experiment.labels.classes)
        log(_summary_line(fold_result, output, classes=classes))


def _fold_result(strategy_run: StrategyRun, output: FoldOutput) -> FoldResult:
    clips, fold = strategy_run.clips, output.fold
    return FoldResult(
        strategy=strategy_run.strategy.name,
        fold=fold.number,
        speakers=fold.speakers,
        train_clips=len(fold.train),
        validated=fold.val_speakers,
        history=tuple(output.history),
        clip_id=tuple(clips.clip_id[i] for i in fold.test),
        speaker=tuple(clips.speaker[i] for i in fold.test),
        label=tuple(clips.label[fold.test].tolist()),
        probability=tuple(map(tuple, output.logits.double().softmax(1).tolist())),
    )


def _summary_line(fold_result: FoldResult, output: FoldOutput, *, classes: int) -> str:
    counts = fold_confusion(fold_result, classes=classes)
    return (
        f"{fold_result.strategy} fold {fold_result.fold}: WAR "
        f"{metrics.war(counts):.1%}, UAR {metrics.uar(counts):.1%}, trained on "
        f"{fold_result.train_clips} clips, tested on {len(fold_result.label)}, epoch "
        f"{fold_result.epoch()}, {output.seconds:.1f} s"
    )


def _save_weights(
    experiment: Experiment,
    strategy_run: StrategyRun,
    output: FoldOutput,
    directory: RunDirectory,
) -> None:
    fold, store = output.fold, experiment.store
    metadata = {
        "encoder": experiment.config.encoder,
        "labels": experiment.labels.name,
        "classes": list(experiment.labels.classes),
        "strategy": strategy_run.strategy.name,
        "fold": fold.number,
        "tested_speakers": list(fold.speakers),
        "trained_clips": [strategy_run.clips.clip_id[i] for i in fold.train],
        "store_sha256": store.sha256,
        # With these, a new clip can be preprocessed in the same way without the store.
        "preparation": {
            "format": FORMAT_VERSION,
            "settings": store.spec.settings.to_json(),
        },
        "config": experiment.config.to_json(),
    }
    if experiment.weights is not None:
        # A trained encoder has seen all that its initial weights have seen.
        earlier = experiment.weights.metadata.get(seen_clips.METADATA)
        metadata |= {} if earlier is None else {seen_clips.METADATA: earlier}
    tensors = weights.to_state_dict(
        output.encoder or experiment.initial_encoder(), output.head
    )
    path = directory.weights(strategy_run.strategy.name, fold.number)
    with atomic_write(path) as draft:
        weights.save_weights(draft, tensors, metadata)


def _build_results(
    experiment: Experiment,
    fold_results: Mapping[str, Sequence[FoldResult]],
    merges: Sequence[ClassMerge],
) -> dict[str, Any]:
    """Return the contents of ``results.json``."""
    identity, store = experiment.identity(), experiment.store
    return {
        "format": RESULTS_VERSION,
        "config": identity["config"],
        "store": {
            **identity["store"],
            "corpus": store.spec.corpus,
            "clips": len(store),
            "versions": dict(store.versions),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "classes": list(experiment.labels.classes),
        "strategies": {
            s.strategy.name: {
                "equation": s.strategy.equation,
                "clips": len(s.clips.row),
                "excluded": s.clips.excluded,
                "warnings": s.warnings,
                "seen_in_pretraining": [asdict(fold) for fold in s.seen],
                **score_strategy(
                    fold_results[s.strategy.name],
                    labels=experiment.labels,
                    merges=merges,
                ),
            }
            for s in experiment.strategies
        },
    }
