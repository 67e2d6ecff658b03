"""A run folder from the predictions of another program."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmder_store import LabelSet, Store
from mmder_store.settings import digest
from mmder_train.data import folds
from mmder_train.data.selection import ClipSelection
from mmder_train.evaluation import summary
from mmder_train.evaluation.build_results import build_results, fold_confusion
from mmder_train.evaluation.foreign_predictions import ForeignPredictions
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.evaluation.train_list import TrainList
from mmder_train.evaluation.write_results import write_results

PACKAGES = ("mmder", "numpy", "zarr")
"""Packages whose versions are recorded in the results."""
Modality = Literal["av", "audio", "video"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignRun:
    """Predictions of another program that fit a store, a label set and a protocol."""

    name: str
    """Name in tables."""
    modality: Modality
    """Input of the other program."""
    store: Store
    labels: LabelSet
    protocol: str
    """Name of the fold protocol."""
    fold: int | None
    """Number of the only fold that is scored, None for all."""
    clips: ClipSelection
    tested: tuple[folds.Fold, ...]
    """Folds that are scored."""
    predictions: ForeignPredictions
    train_list: TrainList | None
    """Training clips of the other program. None if they are not known."""
    speakers_checked: bool
    """True if all training clips are known, and none is of a tested speaker."""
    warnings: list[str]

    @property
    def key(self) -> str:
        """Name in results, in place of a strategy name."""
        return f"foreign-{slug(self.name)}"

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the results, as JSON values."""
        train = self.train_list
        return {
            "config": {
                "strategies": [self.key],
                "name": self.name,
                "modality": self.modality,
                "labels": self.labels.name,
                "protocol": self.protocol,
                "fold": self.fold,
                "predictions_sha256": self.predictions.file.sha256,
                "train_list_sha256": None if train is None else train.file.sha256,
            },
            "store": {
                "name": self.store.path.resolve().name,
                "sha256": self.store.sha256,
            },
        }

    def default_run_dir(self) -> Path:
        """Return a folder named after store, name and a hash of the identity."""
        identity = self.identity()
        stem = Path(identity["store"]["name"]).stem
        return Path("runs") / f"{stem}-{self.key}-{digest(identity)[:8]}"


def write_foreign_run(run: ForeignRun, run_dir: RunDirectory) -> dict[str, Any]:
    """Write a run folder with the scores, and return its results.

    Args:
        run: Predictions from `foreign_setup.setup_foreign_run`.
        run_dir: Folder for the results. If it contains them already, they are returned.
    """
    with run_dir.lock():
        run_dir.open(run.identity())
        finished = run_dir.results()
        if finished is not None:
            return finished
        fold_results = _fold_results(run)
        results = _results(run, fold_results)
        write_results(run_dir, results, {run.key: fold_results})
        return results


def slug(name: str) -> str:
    """Return a name as a part of file names. It may be empty."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")


def _fold_results(run: ForeignRun) -> list[FoldResult]:
    clips, predictions = run.clips, run.predictions
    row_of = {c: i for i, c in enumerate(predictions.clip_id)}
    results = []
    for fold in run.tested:
        clip_id = tuple(clips.clip_id[i] for i in fold.test)
        probability = predictions.probability[[row_of[c] for c in clip_id]]
        results.append(
            FoldResult(
                strategy=run.key,
                fold=fold.number,
                speakers=fold.speakers,
                train_clips=None,
                validated=(),
                history=(),
                clip_id=clip_id,
                speaker=tuple(clips.speaker[i] for i in fold.test),
                label=tuple(clips.label[fold.test].tolist()),
                probability=tuple(map(tuple, probability.tolist())),
            )
        )
    return results


def _results(run: ForeignRun, fold_results: Sequence[FoldResult]) -> dict[str, Any]:
    classes, train = len(run.labels.classes), run.train_list
    return build_results(
        run.identity(),
        run.store,
        run.labels,
        packages=PACKAGES,
        strategies={
            run.key: {
                "equation": "foreign predictions",
                "clips": int(np.sum([len(r.label) for r in fold_results])),
                "excluded": run.clips.excluded,
                "warnings": run.warnings,
                "test_speakers": folds.speaker_separation(
                    run.protocol, run.store.spec.protocols
                ),
                "foreign": {
                    "name": run.name,
                    "file": run.predictions.file.name,
                    "has_probabilities": run.predictions.has_probabilities,
                    "train_list": None if train is None else train.file.name,
                    "speakers_checked": run.speakers_checked,
                },
                **summary.summarize_folds(
                    {r.fold: fold_confusion(r, classes=classes) for r in fold_results},
                    {r.fold: {"speakers": list(r.speakers)} for r in fold_results},
                ),
            }
        },
    )
