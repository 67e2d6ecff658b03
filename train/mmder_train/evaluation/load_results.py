"""Finished runs, read back: what was predicted of every tested clip, and by whom.

A report scores predictions anew, so they must be those that the results tell. What is
read here may come from elsewhere and is checked before it is used.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.evaluation import metrics
from mmder_train.evaluation.run_directory import (
    PREDICTION,
    RESULTS_VERSION,
    RunDirectory,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyResults:
    """What one strategy of one run predicted."""

    run: str
    strategy: str
    equation: str
    config: Mapping[str, Any]
    store: Mapping[str, Any]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    clip_id: tuple[str, ...]
    speaker: tuple[str, ...]
    fold: Int64[np.ndarray, " clip"]
    true: Int64[np.ndarray, " clip"]
    predicted: Int64[np.ndarray, " clip"]

    def identity(self) -> str:
        """Hash all that determines the numbers but the seed."""
        aside = ("seed", "strategies")
        config = {k: v for k, v in self.config.items() if k not in aside}
        return digest(self.strategy, config, self.store.get("sha256"))

    def confusion_by(
        self, group: Sequence[object]
    ) -> Int64[np.ndarray, "group class class"]:
        """Give one confusion matrix for each group of clips, in sorted order."""
        of = np.array([str(g) for g in group])
        return np.stack(
            [
                metrics.confusion(
                    self.true[of == name],
                    self.predicted[of == name],
                    classes=len(self.classes),
                )
                for name in np.unique(of)
            ]
        )


def load_results(path: Path) -> dict[str, Any]:
    """Read the results of a finished run.

    Raises:
        SettingsError: If there is none, it is not finished, or of another version.
    """
    if not path.exists():
        msg = f"run {path}: no such folder; expected one that mmder-train wrote"
        raise SettingsError(msg)
    if not path.is_dir():
        msg = f"run {path}: is a file; expected the folder that it lies in"
        raise SettingsError(msg)
    results = RunDirectory(path=path).results()
    if results is None:
        if not (path / "run.json").exists():
            msg = f"run {path}: no run in it; expected what mmder-train wrote there"
            raise SettingsError(msg)
        done = len(list((path / "folds").glob("*.json")))
        msg = (
            f"run {path}: not finished ({done} folds are). The command that began it "
            "goes on where it stopped."
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
    """Read what each strategy of a finished run predicted.

    Args:
        path: Its folder.
        name: What the report calls it.

    Raises:
        SettingsError: If there is none, it is not finished, or it contradicts itself.
    """
    folder, results = RunDirectory(path=path), load_results(path)
    try:
        return [
            tested
            for strategy in sorted(results["strategies"])
            for tested in _every(folder, name, results, strategy)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SettingsError):
            raise
        msg = f"run {path}: results.json is not as mmder-train writes it ({error!r})"
        raise SettingsError(msg) from error


def _every(
    folder: RunDirectory, name: str, results: Mapping[str, Any], strategy: str
) -> list[StrategyResults]:
    """Give what a strategy predicted, and the same over fewer classes."""
    found, config = results["strategies"][strategy], dict(results["config"])
    tested = [
        _tested(folder, name, results, strategy, strategy, found, results["classes"])
    ]
    for fewer in found.get("merged", []):
        # Under a name of its own, it is ranked with no other head.
        about = {**results, "config": {**config, "labels": str(fewer["title"])}}
        table = f"{strategy}-{fewer['labels']}"
        scored = {**found, **fewer}
        tested.append(
            _tested(folder, name, about, strategy, table, scored, fewer["classes"])
        )
    return tested


def _tested(
    folder: RunDirectory,
    name: str,
    results: Mapping[str, Any],
    strategy: str,
    table: str,
    found: Mapping[str, Any],
    names: Sequence[str],
) -> StrategyResults:
    if not re.fullmatch(r"[a-z0-9-]+", table):
        msg = f"run {folder.path}: strategy {table!r} is no name of one"
        raise SettingsError(msg)
    classes = tuple(names)
    rows = _rows(folder.predictions(table), classes)
    number = {c: i for i, c in enumerate(classes)}
    tested = StrategyResults(
        run=name,
        strategy=strategy,
        equation=str(found["equation"]),
        config=dict(results["config"]),
        store=dict(results["store"]),
        classes=classes,
        notes=tuple(map(str, found["notes"])),
        clip_id=tuple(r["clip_id"] for r in rows),
        speaker=tuple(r["speaker"] for r in rows),
        fold=np.array([int(r["fold"]) for r in rows], dtype=np.int64),
        true=np.array([number[r["true"]] for r in rows], dtype=np.int64),
        predicted=np.array([number[r["predicted"]] for r in rows], dtype=np.int64),
    )
    told = [f["confusion"] for f in sorted(found["folds"], key=lambda f: f["fold"])]
    order = [f"{k:09d}" for k in tested.fold]
    if tested.confusion_by(order).tolist() != told:
        msg = (
            f"{folder.predictions(table)}: not what results.json tells. Run it "
            "again into another --out."
        )
        raise SettingsError(msg)
    both = {(s, k) for s, k in zip(tested.speaker, tested.fold.tolist(), strict=True)}
    if len(both) > len(set(tested.speaker)):
        msg = f"{folder.predictions(table)}: a speaker is tested in two folds"
        raise SettingsError(msg)
    return tested


def _rows(path: Path, classes: Sequence[str]) -> list[dict[str, str]]:
    """Read a table of predictions."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except FileNotFoundError as error:
        msg = f"{path}: missing. Run it again into another --out."
        raise SettingsError(msg) from error
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{path}: no table of predictions ({error})"
        raise SettingsError(msg) from error
    lacking = [c for c in PREDICTION if c not in (reader.fieldnames or ())]
    if lacking or not rows:
        what = f"no column {lacking[0]}" if lacking else "no rows"
        msg = f"{path}: {what}; expected a table that this mmder-train wrote"
        raise SettingsError(msg)
    odd = {r[c] for r in rows for c in ("true", "predicted")} - set(classes)
    if odd:
        msg = (
            f"{path}: class {sorted(map(str, odd))[0]!r}; expected {', '.join(classes)}"
        )
        raise SettingsError(msg)
    return rows
