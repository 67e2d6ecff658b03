"""Load the results of finished runs: the prediction for every tested clip.

A report computes scores from the predictions, so they must agree with the stored
results. The files may come from elsewhere and are checked before they are used.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.evaluation import metrics
from mmder_train.evaluation.run_directory import (
    PREDICTION_COLUMNS,
    RESULTS_VERSION,
    RunDirectory,
    table_without,
)
from mmder_train.evaluation.seeds import file_name, results_of_seed, run_seeds


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyResults:
    """Predictions of one strategy in one run."""

    run: str
    """Name of the run in the report."""
    strategy: str
    """Name of the strategy or baseline."""
    equation: str
    """Equation of the strategy in the paper."""
    config: Mapping[str, Any]
    """Settings of the run."""
    store: Mapping[str, Any]
    """Description of the store, with its hash."""
    classes: tuple[str, ...]
    """Class names. The index is the label."""
    warnings: tuple[str, ...]
    """Warnings about missing clips, speakers, folds or classes."""
    missing: str
    """Modality that the tested clips lacked, empty if they had both."""
    seen: bool
    """True if test clips, or their speakers, were seen in pre-training."""
    speakers_unknown: bool
    """True if the same person can be in training and test."""
    foreign: Mapping[str, Any] | None
    """Origin of the predictions of another program. None for runs of mmder."""
    cross_corpus: tuple["StrategyResults", ...] = ()
    """Results on other stores, after training on the whole store."""
    dropped: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Classes that only the training store or only the test store has, in a result on
    another store."""
    clip_id: tuple[str, ...]
    """Ids of the tested clips."""
    speaker: tuple[str, ...]
    """Speaker of each tested clip."""
    fold: Int64[np.ndarray, " clip"]
    """Number of the fold that each clip was tested in."""
    true: Int64[np.ndarray, " clip"]
    """True class of each clip."""
    predicted: Int64[np.ndarray, " clip"]
    """Predicted class of each clip."""

    def identity(self) -> str:
        """Return a hash of everything that determines the results except the seed."""
        ignored = ("seed", "seeds", "strategies", "drop_modality")
        config = {k: v for k, v in self.config.items() if k not in ignored}
        return digest(self.strategy, config, self.store.get("sha256"), self.missing)

    def confusion_by(
        self, group: Sequence[object]
    ) -> Int64[np.ndarray, "group class class"]:
        """Return one confusion matrix per group of clips, in sorted order.

        Args:
            group: Group of each clip.
        """
        names = np.array([str(g) for g in group])
        return np.stack(
            [
                metrics.confusion(
                    self.true[names == name],
                    self.predicted[names == name],
                    classes=len(self.classes),
                )
                for name in np.unique(names)
            ]
        )


def load_results(path: Path) -> dict[str, Any]:
    """Load ``results.json`` of a finished run.

    Raises:
        SettingsError: If there is no run, or if it is unfinished or of another version.
    """
    if not path.exists():
        msg = f"run {path}: no such folder; expected one that mmder-train wrote"
        raise SettingsError(msg)
    if not path.is_dir():
        msg = f"run {path}: is a file; expected the folder that contains it"
        raise SettingsError(msg)
    results = RunDirectory(path=path).results()
    if results is None:
        if not (path / "run.json").exists():
            msg = f"run {path}: no run in it; expected a folder that mmder-train wrote"
            raise SettingsError(msg)
        if RunDirectory(path=path).is_pretraining():
            msg = (
                f"run {path}: a pre-training, which has no test results. Use its "
                "weights in a run of mmder-train --weights, and compare that."
            )
            raise SettingsError(msg)
        finished = len(list((path / "folds").glob("*.json")))
        msg = (
            f"run {path}: not finished ({finished} folds are). Repeat the command that "
            "started it to resume it."
        )
        raise SettingsError(msg)
    if results.get("format") != RESULTS_VERSION:
        msg = (
            f"run {path}: results of format {results.get('format')}, expected "
            f"{RESULTS_VERSION}. Run it again with this mmder-train."
        )
        raise SettingsError(msg)
    return results


def load_run(path: Path, name: str) -> list[StrategyResults]:
    """Load the predictions of each strategy of a finished run.

    Args:
        path: Folder of the run.
        name: Name of the run in the report.

    Raises:
        SettingsError: If there is no run, or if it is unfinished or inconsistent.
    """
    folder, results = RunDirectory(path=path), load_results(path)
    try:
        return [
            loaded
            for strategy in sorted(results["strategies"])
            for loaded in _load_strategy(folder, name, results, strategy)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SettingsError):
            raise
        msg = f"run {path}: results.json is not as mmder-train writes it ({error!r})"
        raise SettingsError(msg) from error


def _load_strategy(
    folder: RunDirectory, name: str, results: Mapping[str, Any], strategy: str
) -> list[StrategyResults]:
    """Load the predictions of a strategy for each seed, also over merged classes."""
    return [
        loaded
        for seed in run_seeds(results) or (None,)
        for loaded in _load_seed(
            folder,
            name,
            results if seed is None else results_of_seed(results, seed),
            strategy,
            file_name(results, strategy, seed),
        )
    ]


def _load_seed(
    folder: RunDirectory,
    name: str,
    results: Mapping[str, Any],
    strategy: str,
    table: str,
) -> list[StrategyResults]:
    """Load a table of predictions of a strategy, and those over merged classes.

    Predictions without a modality follow those with both.
    """
    scores, config = results["strategies"][strategy], dict(results["config"])
    own, *without = _load_conditions(
        folder, name, results, strategy, table, scores, results["classes"]
    )
    others = [
        _load_cross_corpus(folder, name, results, strategy, entry)
        for entry in scores.get("cross_corpus", [])
    ]
    loaded = [replace(own, cross_corpus=tuple(others)), *without]
    for merged in scores.get("merged", []):
        # A separate label set keeps it out of the ranking of other heads.
        relabeled = {**results, "config": {**config, "labels": str(merged["title"])}}
        loaded += _load_conditions(
            folder,
            name,
            relabeled,
            strategy,
            f"{table}-{merged['labels']}",
            {**scores, **merged},
            merged["classes"],
        )
    return loaded


def _load_conditions(
    folder: RunDirectory,
    name: str,
    results: Mapping[str, Any],
    strategy: str,
    table: str,
    scores: Mapping[str, Any],
    classes: Sequence[str],
) -> list[StrategyResults]:
    """Load the predictions with both modalities, and those without each."""
    loaded = [
        _load_predictions(folder, name, results, strategy, table, scores, classes)
    ]
    for modality, dropped in scores.get("dropped", {}).items():
        loaded.append(
            _load_predictions(
                folder,
                name,
                results,
                strategy,
                table_without(table, modality),
                {**scores, **dropped},
                classes,
                missing=modality,
            )
        )
    return loaded


def _load_cross_corpus(
    folder: RunDirectory,
    name: str,
    results: Mapping[str, Any],
    strategy: str,
    entry: Mapping[str, Any],
) -> StrategyResults:
    """Load the predictions of a strategy on another store."""
    loaded = _load_predictions(
        folder,
        name,
        {**results, "store": entry["store"]},
        strategy,
        entry["predictions"],
        {"equation": "", **entry},
        entry["classes"],
    )
    dropped = (tuple(entry["dropped_train"]), tuple(entry["dropped_test"]))
    return replace(loaded, dropped=dropped)


def _load_predictions(
    folder: RunDirectory,
    name: str,
    results: Mapping[str, Any],
    strategy: str,
    table: str,
    scores: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    missing: str = "",
) -> StrategyResults:
    """Load one predictions file and compare it with the stored scores."""
    if not re.fullmatch(r"[a-z0-9-]+", table):
        msg = f"run {folder.path}: {table!r} is not the name of a strategy"
        raise SettingsError(msg)
    classes = tuple(class_names)
    rows = _read_rows(folder.predictions(table), classes)
    label = {c: i for i, c in enumerate(classes)}
    loaded = StrategyResults(
        run=name,
        strategy=strategy,
        equation=str(scores["equation"]),
        config=dict(results["config"]),
        store=dict(results["store"]),
        classes=classes,
        warnings=tuple(map(str, scores["warnings"])),
        missing=missing,
        seen=bool(scores.get("seen_in_pretraining")),
        speakers_unknown=scores.get("test_speakers") == "unknown",
        foreign=dict(scores["foreign"]) if scores.get("foreign") else None,
        clip_id=tuple(r["clip_id"] for r in rows),
        speaker=tuple(r["speaker"] for r in rows),
        fold=np.array([int(r["fold"]) for r in rows], dtype=np.int64),
        true=np.array([label[r["true"]] for r in rows], dtype=np.int64),
        predicted=np.array([label[r["predicted"]] for r in rows], dtype=np.int64),
    )
    stored = [f["confusion"] for f in sorted(scores["folds"], key=lambda f: f["fold"])]
    padded = [f"{k:09d}" for k in loaded.fold]
    if loaded.confusion_by(padded).tolist() != stored:
        msg = (
            f"{folder.predictions(table)}: does not match results.json. Run it again "
            "into another --out."
        )
        raise SettingsError(msg)
    pairs = {(s, k) for s, k in zip(loaded.speaker, loaded.fold.tolist(), strict=True)}
    if len(pairs) > len(set(loaded.speaker)):
        msg = f"{folder.predictions(table)}: a speaker is tested in two folds"
        raise SettingsError(msg)
    return loaded


def _read_rows(path: Path, classes: Sequence[str]) -> list[dict[str, str]]:
    """Read a predictions file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except FileNotFoundError as error:
        msg = f"{path}: missing. Run it again into another --out."
        raise SettingsError(msg) from error
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{path}: not a predictions file ({error})"
        raise SettingsError(msg) from error
    missing = [c for c in PREDICTION_COLUMNS if c not in (reader.fieldnames or ())]
    if missing or not rows:
        problem = f"no column {missing[0]}" if missing else "no rows"
        msg = f"{path}: {problem}; expected a file that this mmder-train wrote"
        raise SettingsError(msg)
    unknown = {r[c] for r in rows for c in ("true", "predicted")} - set(classes)
    if unknown:
        first = sorted(map(str, unknown))[0]
        msg = f"{path}: class {first!r}; expected {', '.join(classes)}"
        raise SettingsError(msg)
    return rows
