"""Predictions of another program, read from a CSV file.

The file has the column ``clip_id``, and ``predicted`` or one column of scores per
class. The predictions files of mmder's own runs have this form, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from mmder_store.emotions import SPELLINGS
from mmder_store.errors import SettingsError
from mmder_train.evaluation.csv_file import CsvFile, read_csv

CHECKED_COLUMNS = ("speaker", "true")
"""Optional columns that must agree with the store."""
SUM_TOLERANCE = 1e-3
"""Accepted difference of the sum of a clip's probabilities from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignPredictions:
    """Predictions of another program, one per row of its file."""

    file: CsvFile
    clip_id: tuple[str, ...]
    predicted: Int64[np.ndarray, " clip"]
    """Index of each predicted class."""
    probability: Float64[np.ndarray, "clip class"]
    """Probability of each class. If the file has no probabilities, it is 1 for the
    predicted class and 0 for the others."""
    has_probabilities: bool
    """True if the file has probabilities."""
    fold: tuple[int, ...] | None
    """Fold that tests each clip. None if the file has no folds."""

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that are not used."""
        used = {"clip_id", "predicted", "fold", *CHECKED_COLUMNS}
        return tuple(
            c for c in self.file.columns if c not in used and not c.startswith("p_")
        )


def read_predictions(path: Path, classes: Sequence[str]) -> ForeignPredictions:
    """Read predictions, and check everything that needs no store.

    Args:
        path: CSV file.
        classes: Class names.

    Raises:
        SettingsError: If the file has no predictions of these classes, or two for a
            clip.
    """
    file = read_csv(path, required=["clip_id"])
    clip_id = file.column("clip_id")
    first: dict[str, int] = {}
    for row, name in enumerate(clip_id):
        if name in first:
            line = file.rows[first[name]][0]
            raise file.error(row, f"clip {name!r} is already in line {line}")
        first[name] = row
    scores = _scores(file, classes)
    named = None
    if "predicted" in file.columns:
        named = _class_indices(file, "predicted", classes)
    predicted = _predicted(file, named, scores, classes)
    probability = np.eye(len(classes))[predicted]
    has_probabilities = (
        scores is not None
        and bool((scores >= 0).all())
        and bool((np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
    )
    if scores is not None and has_probabilities:
        # Probabilities that are equal after rounding do not show the predicted class.
        shows_class = scores.argmax(axis=1) == predicted
        probability[shows_class] = scores[shows_class]
    return ForeignPredictions(
        file=file,
        clip_id=tuple(clip_id),
        predicted=predicted,
        probability=probability,
        has_probabilities=has_probabilities,
        fold=fold_column(file) if "fold" in file.columns else None,
    )


def fold_column(file: CsvFile) -> tuple[int, ...]:
    """Return the numbers of the column ``fold``.

    Raises:
        SettingsError: If a cell is not a number from 1.
    """
    numbers = []
    for row, text in enumerate(file.column("fold")):
        is_number = text.isascii() and text.isdecimal() and len(text) < 10
        if not is_number or int(text) < 1:
            raise file.error(row, f"fold {text!r}; expected a number from 1")
        numbers.append(int(text))
    return tuple(numbers)


def _class_indices(
    file: CsvFile, column: str, classes: Sequence[str]
) -> Int64[np.ndarray, " clip"]:
    """Return the classes of a column; usual spellings of emotions are accepted."""
    found = []
    for row, text in enumerate(file.column(column)):
        lower = text.lower()
        names = [n for n in (text, lower, SPELLINGS.get(lower)) if n in classes]
        if not names:
            raise file.error(
                row, f"{column} class {text!r}; expected one of {', '.join(classes)}"
            )
        found.append(classes.index(str(names[0])))
    return np.array(found, dtype=np.int64)


def _scores(
    file: CsvFile, classes: Sequence[str]
) -> Float64[np.ndarray, "clip class"] | None:
    """Return the score of each class, None if the file has no scores."""
    prefixed = [c for c in file.columns if c.startswith("p_")]
    unknown = [c for c in prefixed if c.removeprefix("p_") not in classes]
    missing = [c for c in classes if f"p_{c}" not in prefixed]
    if not prefixed and "predicted" in file.columns:
        return None
    if unknown or missing:
        problem = f"column {unknown[0]!r}" if unknown else f"no column 'p_{missing[0]}'"
        expected = ", ".join(f"p_{c}" for c in classes)
        msg = f"{file.name}: {problem}; expected the column 'predicted', or {expected}"
        raise SettingsError(msg)
    columns = [[_number(file, i, c) for i in range(len(file.rows))] for c in classes]
    return np.array(columns, dtype=np.float64).T


def _number(file: CsvFile, row: int, class_name: str) -> float:
    text = file.rows[row][1][file.columns.index(f"p_{class_name}")]
    try:
        value = float(text.replace(",", ".") if file.decimal_comma else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise file.error(row, f"p_{class_name} is {text!r}; expected a finite number")
    return value


def _predicted(
    file: CsvFile,
    named: Int64[np.ndarray, " clip"] | None,
    scores: Float64[np.ndarray, "clip class"] | None,
    classes: Sequence[str],
) -> Int64[np.ndarray, " clip"]:
    """Return the predicted classes, after a comparison of both sources."""
    if scores is None:
        assert named is not None
        return named
    best = scores.max(axis=1)
    is_best = scores == best[:, None]
    if named is not None:
        wrong = np.flatnonzero(~is_best[np.arange(len(named)), named])
        if len(wrong):
            row = int(wrong[0])
            raise file.error(
                row,
                f"predicted {classes[named[row]]}, but the highest score is that of "
                f"{classes[scores[row].argmax()]}; expected the same class",
            )
        return named
    tied = np.flatnonzero(is_best.sum(axis=1) > 1)
    if len(tied):
        row = int(tied[0])
        both = " and ".join(np.array(classes)[is_best[row]][:2])
        raise file.error(
            row,
            f"{both} have the same highest score; write more digits, or add the "
            "column 'predicted'",
        )
    return np.array(scores.argmax(axis=1), dtype=np.int64)
