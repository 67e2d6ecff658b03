"""Cross-validation: train and test each strategy on each fold, and write the results.

A finished fold is never written again.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmder_train.data import folds
from mmder_train.data.coverage import coverage_warning
from mmder_train.evaluation import metrics
from mmder_train.evaluation.build_results import (
    build_results,
    fold_confusion,
    score_strategy,
)
from mmder_train.evaluation.class_merging import ClassMerge, available_merges
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.evaluation.seeds import summarize_seeds
from mmder_train.evaluation.write_results import write_results
from mmder_train.experiment.cross_corpus import (
    cross_corpus_entry,
    cross_corpus_results,
    predictions_name,
    run_cross_corpus_tests,
)
from mmder_train.experiment.cross_corpus_setup import CrossCorpusTest
from mmder_train.experiment.finetune import finetune
from mmder_train.experiment.fold_weights import FoldWeights, missing_weights
from mmder_train.experiment.linear_probe import linear_probe
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext, TuningMethod
from mmder_train.runtime.device import use_deterministic_algorithms
from mmder_train.runtime.memory import explain_out_of_memory, keep_freed_memory

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
    cross_corpus_tests: Sequence[CrossCorpusTest] = (),
) -> dict[str, Any]:
    """Train and test every unfinished fold, and return the results of the run.

    All training processes train. The primary process writes.

    Args:
        experiment: Run from `setup.setup_experiment`.
        directory: Opened folder of the run. Folds that are finished there are reused.
        save_weights: True to save the weights of each fold.
        context: Runtime resources.
        cross_corpus_tests: Other stores to test on, after training on all clips.
    """
    # Only the primary process reads. On a network file system, others may not see yet
    # what it has written.
    finished, results = context.world.broadcast(
        lambda: (
            _finished_folds(experiment, directory, save_weights=save_weights),
            directory.results(),
        )
    )
    unfinished = [
        (s, [f for f in s.folds if (s.name, f.number) not in finished])
        for s in experiment.strategies
    ]
    if results is not None and not any(folds for _, folds in unfinished):
        return dict(results)
    _prepare_process(experiment, context)
    # The warnings of a strategy are the same for all seeds.
    for line in dict.fromkeys(
        f"{s.strategy.name}: {w}" for s in experiment.strategies for w in s.warnings
    ):
        context.progress.log(line)
    method = TUNING_METHODS[experiment.config.method]
    fold_weights = FoldWeights(experiment, directory) if save_weights else None
    for output in _explain_errors(method(experiment, unfinished, context)):
        _finish_fold(experiment, output, directory, fold_weights, context)
    if cross_corpus_tests:
        with explain_out_of_memory():
            run_cross_corpus_tests(
                experiment, cross_corpus_tests, method, directory, context
            )
    return dict(
        context.world.broadcast(
            lambda: _finish_run(experiment, directory, cross_corpus_tests)
        )
    )


def _finished_folds(
    experiment: Experiment, directory: RunDirectory, *, save_weights: bool
) -> set[tuple[str, int]]:
    """Return the name and number of each fold whose files are complete."""
    return {
        (s.name, fold.number)
        for s in experiment.strategies
        for fold in s.folds
        if directory.fold(s.name, fold.number) is not None
        and not (
            save_weights
            and missing_weights(
                directory, s.name, fold.number, seed=experiment.encoder_seed(s.seed)
            )
        )
    }


def _read_folds(strategy_run: StrategyRun, directory: RunDirectory) -> list[FoldResult]:
    name = strategy_run.name
    fold_results = [directory.fold(name, f.number) for f in strategy_run.folds]
    return [r for r in fold_results if r is not None]


def _prepare_process(experiment: Experiment, context: RuntimeContext) -> None:
    """Log warnings about the whole run, and configure torch and its allocator."""
    used = np.unique(np.concatenate([s.clips.row for s in experiment.strategies]))
    truncated = coverage_warning(experiment.store, used)
    if truncated:
        context.progress.log(truncated)
    if experiment.weights is None and experiment.config.method == "linear-probe":
        context.progress.log(
            "the frozen encoder has random weights: for trying out, not for results"
        )
    if experiment.device.type == "cpu":
        keep_freed_memory()
    elif experiment.config.method == "finetune":
        use_deterministic_algorithms()
    if experiment.config.compile and context.world.world_size > 1:
        # Otherwise DistributedDataParallel splits the graph of each block.
        torch._dynamo.config.optimize_ddp = False


def _explain_errors(outputs: Iterator[FoldOutput]) -> Iterator[FoldOutput]:
    """Yield the folds; exhausted memory is an error with a way out."""
    with explain_out_of_memory():
        yield from outputs


def _finish_fold(
    experiment: Experiment,
    output: FoldOutput,
    directory: RunDirectory,
    fold_weights: FoldWeights | None,
    context: RuntimeContext,
) -> None:
    """Write a fold's result, and its weights if they are saved."""
    fold_result = _fold_result(output)
    if context.world.is_primary:
        if fold_weights is not None:
            fold_weights.save(output)
        directory.finish_fold(fold_result)
    classes = len(experiment.labels.classes)
    context.progress.log(_summary_line(fold_result, output, classes=classes))


def _finish_run(
    experiment: Experiment,
    directory: RunDirectory,
    tests: Sequence[CrossCorpusTest],
) -> dict[str, Any]:
    """Write the results of the run, and return them."""
    merges = available_merges(experiment.labels, experiment.store.spec.label_sets)
    fold_results = {s.name: _read_folds(s, directory) for s in experiment.strategies}
    results = _build_results(experiment, fold_results, merges)
    for name, scores in results["strategies"].items() if tests else ():
        on_tests = cross_corpus_results(name, tests, directory)
        scores["cross_corpus"] = [cross_corpus_entry(t, r) for t, r in on_tests]
        for test, result in on_tests:
            directory.write_predictions(
                predictions_name(name, test), [result], test.classes
            )
    # All folds are finished. A kill may have left a part of a fold's checkpoint.
    shutil.rmtree(directory.checkpoints, ignore_errors=True)
    write_results(directory, results, fold_results, merges=merges)
    return results


def _fold_result(output: FoldOutput) -> FoldResult:
    clips, fold = output.strategy_run.clips, output.fold
    return FoldResult(
        strategy=output.strategy_run.name,
        fold=fold.number,
        speakers=fold.speakers,
        train_clips=len(fold.train),
        validated=fold.val_speakers,
        history=tuple(output.history),
        clip_id=tuple(clips.clip_id[i] for i in fold.test),
        speaker=tuple(clips.speaker[i] for i in fold.test),
        label=tuple(clips.label[fold.test].tolist()),
        probability=_probabilities(output.logits),
        dropped={m: _probabilities(x) for m, x in output.dropped_logits.items()},
    )


def _probabilities(logits: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, logits.double().softmax(1).tolist()))


def _summary_line(fold_result: FoldResult, output: FoldOutput, *, classes: int) -> str:
    counts = fold_confusion(fold_result, classes=classes)
    return (
        f"{fold_result.strategy} fold {fold_result.fold}: WAR "
        f"{metrics.war(counts):.1%}, UAR {metrics.uar(counts):.1%}, trained on "
        f"{fold_result.train_clips} clips, tested on {len(fold_result.label)}, epoch "
        f"{fold_result.epoch()}, {output.seconds:.1f} s"
    )


def _build_results(
    experiment: Experiment,
    fold_results: Mapping[str, Sequence[FoldResult]],
    merges: Sequence[ClassMerge],
) -> dict[str, Any]:
    """Return the contents of ``results.json``."""
    by_name = {s.strategy.name: s for s in experiment.strategies}
    return build_results(
        experiment.identity(),
        experiment.store,
        experiment.labels,
        packages=PACKAGES,
        strategies={
            name: {
                "equation": s.strategy.equation,
                "clips": len(s.clips.row),
                "excluded": s.clips.excluded,
                "warnings": s.warnings,
                "seen_in_pretraining": [asdict(fold) for fold in s.seen],
                "test_speakers": folds.speaker_separation(
                    experiment.config.protocol, experiment.store.spec.protocols
                ),
                **_score_strategy(experiment, name, fold_results, merges),
            }
            for name, s in by_name.items()
        },
    )


def _score_strategy(
    experiment: Experiment,
    strategy: str,
    fold_results: Mapping[str, Sequence[FoldResult]],
    merges: Sequence[ClassMerge],
) -> dict[str, Any]:
    """Return the scores of a strategy, over its seeds if there are several."""
    by_seed = {
        s.seed: score_strategy(
            fold_results[s.name], labels=experiment.labels, merges=merges
        )
        for s in experiment.strategies
        if s.strategy.name == strategy
    }
    return summarize_seeds(by_seed) if len(by_seed) > 1 else by_seed.popitem()[1]
