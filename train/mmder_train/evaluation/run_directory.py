"""Layout of a run folder: the files written there, and when a run is complete.

``run.json`` describes the run. ``folds/`` gets one file per finished fold, and
``results.json`` is written after the last fold. Every file is written to a draft and
renamed, so that *a file that exists is complete*.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_store.atomic_files import (
    atomic_write,
    remove_drafts,
    write_json,
)
from mmder_store.errors import SettingsError
from mmder_train.evaluation.run_lock import run_lock

PREDICTION_COLUMNS = ("clip_id", "speaker", "fold", "true", "predicted")
"""Columns of a predictions file, before the probabilities of the classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldResult:
    """Result of one fold, written to the run folder after testing."""

    strategy: str
    """Name of the strategy or baseline, with the seed if the run has several."""
    fold: int
    """Number of the fold, from 1. 0 for a test on another store."""
    speakers: tuple[str, ...]
    """Tested speakers."""
    train_clips: int | None
    """Number of clips that the fold was trained on. None if it is not known."""
    validated: tuple[str, ...]
    """Speakers of the train side that were held out to choose the epoch."""
    history: tuple[Mapping[str, float], ...]
    """One row per epoch: its mean loss, and the scores after it."""
    clip_id: tuple[str, ...]
    """Ids of the tested clips."""
    speaker: tuple[str, ...]
    """Speaker of each tested clip."""
    label: tuple[int, ...]
    """True class of each tested clip."""
    probability: tuple[tuple[float, ...], ...]
    """Softmax of the logits of each tested clip."""
    dropped: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """The same without a modality, by its name."""

    def without(self, modality: str) -> "FoldResult":
        """Return the result of the same clips without a modality."""
        return replace(self, probability=self.dropped[modality], dropped={})

    def epoch(self) -> int:
        """Return the number of the tested epoch: the best on validation, or the last.

        It is the last if there was no validation.
        """
        rows = self.history
        if "val_uar" not in rows[0]:
            return len(rows)
        return max(range(len(rows)), key=lambda i: (rows[i]["val_uar"], -i)) + 1

    def predicted(self) -> Int64[np.ndarray, " clip"]:
        """Return the most probable class of each clip."""
        return np.array([np.argmax(row) for row in self.probability])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """A folder that contains one run."""

    path: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, so that no other process writes to it.

        Raises:
            SettingsError: If another process has locked it, or it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            msg = f"run folder {self.path}: is a file. Choose another --out."
            raise SettingsError(msg)
        created = not self.path.exists()
        try:
            with run_lock(self.path):
                yield
        finally:
            if created and self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()

    def open(self, description: Mapping[str, Any]) -> None:
        """Start the run, or resume it; drafts of a killed process are removed.

        Args:
            description: Everything that determines the results, as JSON values.

        Raises:
            SettingsError: If the folder contains another run, or other files.
        """
        advice = "Choose another --out."
        old = self._read(self.path / "run.json")
        if old is None and _has_files(self.path):
            msg = f"run folder {self.path}: not empty, and no run in it. {advice}"
            raise SettingsError(msg)
        for folder in (self.path, *self.path.glob("*/")):
            remove_drafts(folder)
        new = json.loads(json.dumps(description))
        if old is None:
            write_json(self.path / "run.json", new)
        elif old != new:
            changes = ", ".join(_changes(old, new))
            msg = f"run folder {self.path}: holds another run ({changes}). {advice}"
            raise SettingsError(msg)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            msg = f"{path}: not JSON ({error}). Delete it and run again."
            raise SettingsError(msg) from error
        if not isinstance(content, dict):
            msg = f"{path}: not written by mmder-train. Delete it and run again."
            raise SettingsError(msg)
        return content

    def _fold(self, strategy: str, fold: int) -> Path:
        return self.path / "folds" / f"{strategy}-{fold}.json"

    def weights(self, strategy: str, fold: int) -> Path:
        """Return the path of the weights of a fold."""
        return self.path / "weights" / f"{strategy}-{fold}.safetensors"

    def encoder(self, seed: int | None = None) -> Path:
        """Return the path of the frozen encoder that the heads of a linear probe use.

        Args:
            seed: Seed of its random weights, in a run with several. None for the only
                encoder of the run.
        """
        name = "encoder" if seed is None else f"encoder-seed{seed}"
        return self.path / "weights" / f"{name}.safetensors"

    def _cross_corpus(self, strategy: str, test: str) -> Path:
        return self.path / "cross-corpus" / f"{strategy}-{test}.json"

    def fold(self, strategy: str, fold: int) -> FoldResult | None:
        """Read the result of a fold, or return None if it is not finished."""
        return self._read_result(self._fold(strategy, fold))

    def cross_corpus(self, strategy: str, test: str) -> FoldResult | None:
        """Read the result on another store, or return None if it is not finished."""
        return self._read_result(self._cross_corpus(strategy, test))

    def _read_result(self, path: Path) -> FoldResult | None:
        content = self._read(path)
        if content is None:
            return None
        try:
            return FoldResult(
                strategy=content["strategy"],
                fold=content["fold"],
                speakers=tuple(content["speakers"]),
                train_clips=content["train_clips"],
                validated=tuple(content["validated"]),
                history=tuple(content["history"]),
                clip_id=tuple(content["clip_id"]),
                speaker=tuple(content["speaker"]),
                label=tuple(content["label"]),
                probability=tuple(map(tuple, content["probability"])),
                dropped={
                    name: tuple(map(tuple, rows))
                    for name, rows in content.get("dropped", {}).items()
                },
            )
        except KeyError as error:
            msg = f"{path}: lacks {error}, of another version. Choose another --out."
            raise SettingsError(msg) from error

    def finish_fold(self, record: FoldResult) -> None:
        """Write the result of a fold, which marks it as finished."""
        write_json(self._fold(record.strategy, record.fold), asdict(record))

    def finish_cross_corpus(self, record: FoldResult, test: str) -> None:
        """Write the result on another store, which marks it as finished."""
        write_json(self._cross_corpus(record.strategy, test), asdict(record))

    def results(self) -> dict[str, Any] | None:
        """Read the results of the run, or return None if it is not finished."""
        return self._read(self.path / "results.json")

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write the results of the run, which marks it as finished."""
        write_json(self.path / "results.json", results)

    @property
    def checkpoints(self) -> Path:
        """Folder for checkpoints of unfinished folds."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """Path of the log file."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """Path of the metrics of all epochs."""
        return self.path / "metrics.jsonl"

    def is_pretraining(self) -> bool:
        """Return whether the folder contains a pre-training."""
        content = self._read(self.path / "run.json") or {}
        return content.get("task") == "pretraining"

    def test_stores(self) -> list[str]:
        """Read the names of the other stores that the run is tested on."""
        content = self._read(self.path / "run.json") or {}
        return [str(entry.get("name")) for entry in content.get("test_stores", [])]

    def config(self) -> dict[str, Any]:
        """Read the settings of the run.

        Raises:
            SettingsError: If no run was started in the folder.
        """
        content = self._read(self.path / "run.json")
        if content is None or not isinstance(content.get("config"), dict):
            msg = f"run folder {self.path}: no run in it; expected a started run"
            raise SettingsError(msg)
        return dict(content["config"])

    def confusion(self, strategy: str, image_format: str = "png") -> Path:
        """Return the path of the confusion matrix of a strategy, an image."""
        return self.path / f"confusion-{strategy}.{image_format}"

    def predictions(self, strategy: str) -> Path:
        """Return the path of the predictions for all tested clips, a CSV file."""
        return self.path / f"predictions-{strategy}.csv"

    def write_predictions(
        self, strategy: str, records: Iterable[FoldResult], classes: Sequence[str]
    ) -> None:
        """Write the predictions for all tested clips as CSV."""
        header = [*PREDICTION_COLUMNS, *(f"p_{c}" for c in classes)]
        rows = (
            [clip, speaker, r.fold, classes[true], classes[best]]
            + [f"{p:.6f}" for p in probability]
            for r in records
            for clip, speaker, true, best, probability in zip(
                r.clip_id,
                r.speaker,
                r.label,
                r.predicted(),
                r.probability,
                strict=True,
            )
        )
        with (
            atomic_write(self.predictions(strategy)) as draft,
            draft.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([header, *rows])


def table_without(table: str, modality: str) -> str:
    """Return the name of a table of predictions without a modality."""
    return f"{table}-no-{modality}"


def _has_files(folder: Path) -> bool:
    """Return whether a folder contains other files than drafts of a killed run."""
    return folder.is_dir() and any(
        not path.name.startswith(".") for path in folder.iterdir()
    )


def _changes(old: object, new: object, name: str = "") -> Iterator[str]:
    """Yield each difference as ``name old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), f"{name} {key}".strip())
    elif old != new:
        yield f"{name} {_shorten(old)} -> {_shorten(new)}"


def _shorten(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:12] + "..." if len(text) > 40 else text


RESULTS_VERSION = 2
