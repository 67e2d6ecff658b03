"""The folder of a run: what is written there, and when it counts as done.

``run.json`` says what the run is of. One file a fold appears in ``folds/`` once the
fold is finished; ``results.json`` appears when all are. Everything is written beside
its final name and renamed: *existing means done*.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from mmder_store.atomic_files import atomic_write, write_json
from mmder_store.errors import SettingsError

PREDICTION = ("clip_id", "speaker", "fold", "true", "predicted")
"""Columns of a table of predictions, before those of the classes' shares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldResult:
    """What is known of one fold once its test side was predicted."""

    strategy: str
    fold: int
    speakers: tuple[str, ...]
    """Who was tested."""
    train_clips: int
    validated: tuple[str, ...]
    """Who of the train side was kept for choosing the epoch."""
    history: tuple[Mapping[str, float], ...]
    """One row an epoch: its mean loss, and what was scored after it."""
    clip_id: tuple[str, ...]
    """The clips tested."""
    speaker: tuple[str, ...]
    """Who speaks in each."""
    label: tuple[int, ...]
    """Their true classes."""
    probability: tuple[tuple[float, ...], ...]
    """Softmax of their logits."""

    def epoch(self) -> int:
        """Tell which epoch was tested: the best in validation, else the last."""
        rows = self.history
        if "val_uar" not in rows[0]:
            return len(rows)
        return max(range(len(rows)), key=lambda i: (rows[i]["val_uar"], -i)) + 1

    def predicted(self) -> Int64[np.ndarray, " clip"]:
        """Give the most probable class of each clip."""
        return np.array([np.argmax(share) for share in self.probability])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """A folder that holds one run."""

    path: Path

    def open(self, what: Mapping[str, Any]) -> None:
        """Begin the run, or go on with it.

        Args:
            what: All that determines its numbers, as JSON.

        Raises:
            SettingsError: If the folder holds another run, or something else.
        """
        way = "Choose another --out."
        if self.path.exists() and not self.path.is_dir():
            msg = f"run folder {self.path}: is a file. {way}"
            raise SettingsError(msg)
        old = self._read(self.path / "run.json")
        if old is None and _holds_files(self.path):
            msg = f"run folder {self.path}: not empty, and no run in it. {way}"
            raise SettingsError(msg)
        new = json.loads(json.dumps(what))
        if old is None:
            write_json(self.path / "run.json", new)
        elif old != new:
            change = ", ".join(_changes(old, new))
            msg = f"run folder {self.path}: holds another run ({change}). {way}"
            raise SettingsError(msg)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            msg = f"{path}: no JSON ({error}). Delete it and run again."
            raise SettingsError(msg) from error
        if not isinstance(found, dict):
            msg = f"{path}: not written by mmder-train. Delete it and run again."
            raise SettingsError(msg)
        return found

    def _fold(self, strategy: str, fold: int) -> Path:
        return self.path / "folds" / f"{strategy}-{fold}.json"

    def weights(self, strategy: str, fold: int) -> Path:
        """Name the file of a fold's weights."""
        return self.path / "weights" / f"{strategy}-{fold}.safetensors"

    def fold(self, strategy: str, fold: int) -> FoldResult | None:
        """Read a finished fold, None where it is not finished."""
        found = self._read(self._fold(strategy, fold))
        if found is None:
            return None
        try:
            return FoldResult(
                strategy=found["strategy"],
                fold=found["fold"],
                speakers=tuple(found["speakers"]),
                train_clips=found["train_clips"],
                validated=tuple(found["validated"]),
                history=tuple(found["history"]),
                clip_id=tuple(found["clip_id"]),
                speaker=tuple(found["speaker"]),
                label=tuple(found["label"]),
                probability=tuple(map(tuple, found["probability"])),
            )
        except KeyError as error:
            path = self._fold(strategy, fold)
            msg = f"{path}: lacks {error}, of another version. Choose another --out."
            raise SettingsError(msg) from error

    def finish_fold(self, record: FoldResult) -> None:
        """Declare a fold finished."""
        write_json(self._fold(record.strategy, record.fold), asdict(record))

    def results(self) -> dict[str, Any] | None:
        """Read the results of a finished run."""
        return self._read(self.path / "results.json")

    def finish(self, results: Mapping[str, Any]) -> None:
        """Declare the run finished."""
        write_json(self.path / "results.json", results)

    @property
    def checkpoints(self) -> Path:
        """Folder of folds that are not finished."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """Name the file that keeps what was said."""
        return self.path / "log.txt"

    def config(self) -> dict[str, Any]:
        """Read the settings of the run that was begun here.

        Raises:
            SettingsError: If there is none.
        """
        found = self._read(self.path / "run.json")
        if found is None or not isinstance(found.get("config"), dict):
            msg = f"run folder {self.path}: no run in it; expected one that was begun"
            raise SettingsError(msg)
        return dict(found["config"])

    def confusion(self, strategy: str) -> Path:
        """Name the picture of a strategy's confusion matrix."""
        return self.path / f"confusion-{strategy}.png"

    def predictions(self, strategy: str) -> Path:
        """Name the table of what was predicted of every tested clip."""
        return self.path / f"predictions-{strategy}.csv"

    def write_predictions(
        self, strategy: str, records: Iterable[FoldResult], classes: Sequence[str]
    ) -> None:
        """Write what was predicted of every tested clip as CSV."""
        head = [*PREDICTION, *(f"p_{c}" for c in classes)]
        rows = (
            [clip, who, r.fold, classes[true], classes[best]]
            + [f"{p:.6f}" for p in share]
            for r in records
            for clip, who, true, best, share in zip(
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
            csv.writer(file).writerows([head, *rows])


def _holds_files(folder: Path) -> bool:
    """Tell if a folder holds more than drafts that a killed run left."""
    return folder.is_dir() and any(
        not path.name.startswith(".") for path in folder.iterdir()
    )


def _changes(old: object, new: object, name: str = "") -> Iterator[str]:
    """List what differs, as ``name found -> asked``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), f"{name} {key}".strip())
    elif old != new:
        yield f"{name} {_short(old)} -> {_short(new)}"


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:12] + "..." if len(text) > 40 else text


RESULTS_VERSION = 2
