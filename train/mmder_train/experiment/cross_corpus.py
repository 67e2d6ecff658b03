"""Cross-corpus tests: train on all clips of one store, and test on other stores.

The head has all classes of the training store. On a test store, the outputs of classes
that it does not have are dropped before the softmax.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mmder_train.data.folds import whole, with_validation
from mmder_train.evaluation import metrics, summary
from mmder_train.evaluation.build_results import fold_confusion
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.experiment.batches import FusedBatches, create_feed
from mmder_train.experiment.cross_corpus_setup import CrossCorpusTest
from mmder_train.experiment.feature_extraction import clip_features
from mmder_train.experiment.finetune import classifier_logits
from mmder_train.experiment.linear_probe import head_logits
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext, TuningMethod
from mmder_train.models.classifier import Classifier


def run_cross_corpus_tests(
    experiment: Experiment,
    tests: Sequence[CrossCorpusTest],
    method: TuningMethod,
    directory: RunDirectory,
    context: RuntimeContext,
) -> None:
    """Train on the whole store and write the result on each test store.

    Results that are finished in the folder are kept. A strategy is trained once for all
    its test stores.

    Args:
        experiment: Run whose settings, clips and weights are used.
        tests: Stores to test on.
        method: Training method.
        directory: Folder of the run.
        context: Runtime resources.
    """
    finished = context.world.broadcast(lambda: set(_finished(tests, directory)))
    training = _train_on_all(experiment)
    unfinished = [
        (run, [] if _is_complete(run, tests, finished) else run.folds)
        for run in training.strategies
    ]
    if not any(folds for _, folds in unfinished):
        return
    for test in tests:
        context.progress.log(test.describe())
        for warning in {w: None for run in test.runs for w in run.warnings}:
            context.progress.log(f"test store {test.name}: {warning}")
    for output in method(training, unfinished, context):
        name = output.strategy_run.strategy.name
        for test in tests:
            if (name, test.key) in finished:
                continue
            result = _test(training, test, output, context)
            if context.world.is_primary:
                directory.finish_cross_corpus(result, test.key)
            context.progress.log(_summary_line(result, test))


def cross_corpus_results(
    strategy: str, tests: Iterable[CrossCorpusTest], directory: RunDirectory
) -> list[tuple[CrossCorpusTest, FoldResult]]:
    """Return the finished results of a strategy on the test stores."""
    pairs = [(test, directory.cross_corpus(strategy, test.key)) for test in tests]
    return [(test, result) for test, result in pairs if result is not None]


def cross_corpus_entry(test: CrossCorpusTest, result: FoldResult) -> dict[str, Any]:
    """Return the scores on a test store, in the form stored in ``results.json``."""
    (run,) = (r for r in test.runs if r.strategy.name == result.strategy)
    counts = fold_confusion(result, classes=len(test.classes))
    details: Mapping[str, Any] = {
        "speakers": list(result.speakers),
        "train_clips": result.train_clips,
        "validated": list(result.validated),
        "epoch": result.epoch(),
        "train_loss": result.history[result.epoch() - 1]["loss"],
    }
    return {
        "store": {
            "name": test.name,
            "sha256": test.store.sha256,
            "corpus": test.store.spec.corpus,
            "clips": len(test.store),
        },
        "labels": test.labels.name,
        "classes": list(test.classes),
        "dropped_train": list(test.dropped_train),
        "dropped_test": list(test.dropped_test),
        "excluded": run.clips.excluded,
        "warnings": run.warnings,
        "test_speakers": test.speakers,
        "seen_in_pretraining": [asdict(fold) for fold in run.seen],
        "predictions": predictions_name(result.strategy, test),
        **summary.summarize_folds({0: counts}, {0: details}),
    }


def predictions_name(strategy: str, test: CrossCorpusTest) -> str:
    """Return the name of the predictions file on a test store, without its affixes."""
    return f"{strategy}-on-{test.key}"


def _finished(
    tests: Iterable[CrossCorpusTest], directory: RunDirectory
) -> Iterator[tuple[str, str]]:
    """Yield strategy and test store of each finished result."""
    for test in tests:
        for run in test.runs:
            if directory.cross_corpus(run.strategy.name, test.key) is not None:
                yield run.strategy.name, test.key


def _is_complete(
    run: StrategyRun, tests: Iterable[CrossCorpusTest], finished: set[tuple[str, str]]
) -> bool:
    return all((run.strategy.name, test.key) in finished for test in tests)


def _train_on_all(experiment: Experiment) -> Experiment:
    """Return the run with one fold per strategy, which trains on all clips.

    With ``--val speakers``, some speakers are held out as in any other fold.
    """
    config = experiment.config
    runs = []
    for run in experiment.strategies:
        fold = whole(len(run.clips.row))
        if config.val != "none":
            fold = with_validation(fold, run.clips.speaker, seed=config.seed)
        runs.append(replace(run, folds=(fold,)))
    return replace(
        experiment,
        # There is no test side to report, with both modalities or without one.
        config=replace(config, report_best_test_epoch=False, drop_modality=()),
        strategies=tuple(runs),
    )


def _test(
    experiment: Experiment,
    test: CrossCorpusTest,
    output: FoldOutput,
    context: RuntimeContext,
) -> FoldResult:
    """Apply a trained model to the clips of a test store."""
    name, fold = output.strategy_run.strategy.name, output.fold
    (run,) = (r for r in test.runs if r.strategy.name == name)
    other = replace(
        experiment,
        store=test.store,
        strategies=(run,),
        feature_cache_dir=test.feature_cache_dir,
    )
    logits = _logits(other, run, output, context)[:, list(test.outputs)]
    return FoldResult(
        strategy=name,
        fold=fold.number,
        speakers=tuple(sorted(set(run.clips.speaker))),
        train_clips=len(fold.train),
        validated=fold.val_speakers,
        history=tuple(output.history),
        clip_id=run.clips.clip_id,
        speaker=run.clips.speaker,
        label=tuple(run.clips.label.tolist()),
        probability=tuple(map(tuple, logits.double().softmax(1).tolist())),
    )


def _logits(
    experiment: Experiment,
    run: StrategyRun,
    output: FoldOutput,
    context: RuntimeContext,
) -> Float[Tensor, "clip class"]:
    """Return the outputs of a trained model for all clips of a test store."""
    index = np.arange(len(run.clips.row))
    if output.encoder is None:
        (features,) = clip_features(experiment, [run], context)
        return head_logits(output.head, features.to(experiment.device), index)
    # A model whose weights were divided among processes is a copy on the CPU.
    model = Classifier(output.encoder, output.head).to(experiment.device)
    feed = create_feed(experiment, [run], context, rereads=False)
    fused = FusedBatches(experiment, run, feed, world=context.world)
    return classifier_logits(model, fused, index, world=context.world)


def _summary_line(result: FoldResult, test: CrossCorpusTest) -> str:
    counts = fold_confusion(result, classes=len(test.classes))
    return (
        f"{result.strategy} on {test.name}: WAR {metrics.war(counts):.1%}, UAR "
        f"{metrics.uar(counts):.1%}, trained on {result.train_clips} clips, tested on "
        f"{len(result.label)}, {len(test.classes)} classes"
    )
