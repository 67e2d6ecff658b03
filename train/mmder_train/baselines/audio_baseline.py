"""Audio baseline: a simple classifier on the same clips and folds as an encoder.

A trained encoder is only useful if it scores better.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.baselines.audio_statistics import AUDIBLE_DB, BANDS, clip_statistics
from mmder_train.baselines.classifiers import (
    CLASSIFIERS,
    Classifier,
    Statistics,
    fit_and_predict,
)
from mmder_train.data import folds
from mmder_train.data.coverage import coverage_warning
from mmder_train.data.selection import (
    ClipSelection,
    choose_labels,
    excluded_text,
    labeled_speakers,
    select_clips,
)
from mmder_train.evaluation import metrics, summary
from mmder_train.evaluation.build_results import build_results, fold_confusion
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.evaluation.write_results import write_results
from mmder_train.fusion.strategies import STRATEGIES

PACKAGES = ("mmder", "numpy", "scikit-learn", "zarr")
"""Packages whose versions are recorded in the results."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A baseline whose settings were checked against its store.

    It is deterministic: no random numbers are used.
    """

    model: Literal["logistic", "svm"]
    store: Store
    labels: LabelSet
    protocol: str
    """Name of the fold protocol."""
    fold: int | None
    """Number of the only fold to test, None for all."""
    clips: ClipSelection
    split: tuple[folds.Fold, ...]
    """Folds to test."""
    warnings: list[str]

    @property
    def name(self) -> str:
        """Name of the baseline in results, in place of a strategy name."""
        return f"baseline-{self.model}"

    @property
    def classifier(self) -> Classifier:
        """Classifier and its settings."""
        return CLASSIFIERS[self.model]

    def identity(self) -> dict[str, Any]:
        """Return the settings and the store that determine the results."""
        return {
            "config": {
                "strategies": [self.name],
                "model": self.model,
                **self.classifier.settings,
                "bands": BANDS,
                "heard_db": AUDIBLE_DB,
                "labels": self.labels.name,
                "protocol": self.protocol,
                "fold": self.fold,
            },
            "store": {
                "name": self.store.path.resolve().name,
                "sha256": self.store.sha256,
            },
        }

    def default_run_dir(self) -> Path:
        """Return a folder named after the store and a hash of the identity."""
        identity = self.identity()
        name = f"{Path(identity['store']['name']).stem}-{self.name}"
        return Path("runs") / f"{name}-{digest(identity)[:8]}"


def setup_baseline(
    store: Store,
    *,
    model: Literal["logistic", "svm"],
    labels: str,
    protocol: str,
    fold: int | None,
) -> Baseline:
    """Check the settings against the store, and select clips and folds.

    Clips, labels and folds are those of ``--strategy audio``.

    Args:
        store: A sealed store.
        model: Name of the classifier.
        labels: Name of a label set of the store. Empty for its first one.
        protocol: Name of the fold protocol. Empty for the first one of the store.
        fold: Number of the only fold to test, None for all.

    Raises:
        SettingsError: If the store does not have the label set, the protocol or the
            fold, or has no clips for it.
    """
    label_set = choose_labels(store, labels)
    speakers = labeled_speakers(store, label_set)
    chosen = folds.choose_protocol(protocol, store.spec.protocols, speakers)
    clips = select_clips(store, strategy=STRATEGIES["audio"], labels=label_set)
    split = folds.split(clips.speaker, chosen)
    warnings = folds.fold_warnings(split, chosen, clips.label, label_set.classes)
    if clips.excluded:
        warnings.insert(0, excluded_text(clips.excluded))
    tested = folds.select_folds(split, fold, chosen)
    for one_fold in tested:
        if len(np.unique(clips.label[one_fold.train])) < 2:
            msg = (
                f"fold {one_fold.number}: all training clips are of one class; "
                "expected at least two classes"
            )
            raise SettingsError(msg)
    return Baseline(
        model=model,
        store=store,
        labels=label_set,
        protocol=chosen.name,
        fold=fold,
        clips=clips,
        split=tested,
        warnings=warnings,
    )


def evaluate_baseline(
    baseline: Baseline, run_dir: RunDirectory, *, log: Callable[[str], None]
) -> dict[str, Any]:
    """Train and test every fold, and return results in the format of a run.

    Args:
        baseline: Baseline from `setup_baseline`.
        run_dir: Folder for the results. If it contains them already, they are returned.
        log: Function that is called with each line for the user.
    """
    with run_dir.lock():
        run_dir.open(baseline.identity())
        return _evaluate_locked(baseline, run_dir, log)


def _evaluate_locked(
    baseline: Baseline, run_dir: RunDirectory, log: Callable[[str], None]
) -> dict[str, Any]:
    finished = run_dir.results()
    if finished is not None:
        return finished
    for warning in baseline.warnings:
        log(f"{baseline.name}: {warning}")
    truncated = coverage_warning(baseline.store, baseline.clips.row)
    if truncated:
        log(truncated)
    started = time.monotonic()
    statistics = load_statistics(baseline)
    log(
        f"{baseline.name}: {statistics.shape[1]} statistics of {len(statistics)} "
        f"clips, {time.monotonic() - started:.1f} s"
    )
    fold_results = []
    for fold_result, line in _test_folds(baseline, statistics):
        run_dir.finish_fold(fold_result)
        fold_results.append(fold_result)
        log(line)
    results = _results(baseline, statistics.shape[1], fold_results)
    write_results(run_dir, results, {baseline.name: fold_results})
    return results


def load_statistics(baseline: Baseline) -> Statistics:
    """Compute the statistics of every clip, one clip at a time."""
    store = baseline.store
    return np.stack(
        [
            clip_statistics(
                store.read("mfcc_16", int(row)),
                store.read("stft_16", int(row)),
                store.spec.settings,
            )
            for row in baseline.clips.row
        ]
    )


def _test_folds(
    baseline: Baseline, statistics: Statistics
) -> Iterator[tuple[FoldResult, str]]:
    """Yield the result of each fold, and a log line about it."""
    clips, classes = baseline.clips, len(baseline.labels.classes)
    for fold in baseline.split:
        started = time.monotonic()
        probabilities = fit_and_predict(
            baseline.classifier, statistics, clips.label, fold.train, classes=classes
        )
        loss = -np.log(probabilities[fold.train, clips.label[fold.train]]).mean()
        result = FoldResult(
            strategy=baseline.name,
            fold=fold.number,
            speakers=fold.speakers,
            train_clips=len(fold.train),
            validated=(),
            history=({"epoch": 1, "loss": float(loss)},),
            clip_id=tuple(clips.clip_id[i] for i in fold.test),
            speaker=tuple(clips.speaker[i] for i in fold.test),
            label=tuple(clips.label[fold.test].tolist()),
            probability=tuple(map(tuple, probabilities[fold.test].tolist())),
        )
        counts = fold_confusion(result, classes=classes)
        yield (
            result,
            f"{baseline.name} fold {fold.number}: WAR {metrics.war(counts):.1%}, UAR "
            f"{metrics.uar(counts):.1%}, trained on {len(fold.train)} clips, tested "
            f"on {len(fold.test)}, {time.monotonic() - started:.1f} s",
        )


def _results(
    baseline: Baseline, statistics: int, fold_results: list[FoldResult]
) -> dict[str, Any]:
    classes = len(baseline.labels.classes)
    details = {
        r.fold: {
            "speakers": list(r.speakers),
            "train_clips": r.train_clips,
            "train_loss": r.history[0]["loss"],
        }
        for r in fold_results
    }
    return build_results(
        baseline.identity(),
        baseline.store,
        baseline.labels,
        packages=PACKAGES,
        strategies={
            baseline.name: {
                "equation": f"{baseline.classifier.title}, "
                f"{statistics} statistics of the audio",
                "clips": len(baseline.clips.row),
                "excluded": baseline.clips.excluded,
                "warnings": baseline.warnings,
                "test_speakers": folds.speaker_separation(
                    baseline.protocol, baseline.store.spec.protocols
                ),
                **summary.summarize_folds(
                    {r.fold: fold_confusion(r, classes=classes) for r in fold_results},
                    details,
                ),
            }
        },
    )
