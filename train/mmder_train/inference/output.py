"""Write predictions to a CSV file, and print them as lines or as a table."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rich_click as click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmder_store.atomic_files import name_file_in_errors, sync
from mmder_store.errors import SettingsError
from mmder_store.schema import STATUSES
from mmder_train.inference.predictor import Prediction
from mmder_train.runtime.console import PLAIN_WIDTH

COLUMNS = (
    *("clip", "start_s", "stop_s", "clip_stop_s"),
    *("status", "reason", "missing", "warning", "emotion"),
)
"""Columns of the CSV file, followed by one probability per class. The part of the clip
from ``start_s`` to ``stop_s`` was judged. ``missing`` is the modality that the clip
lacks and was predicted without."""
CLIP_CHARS = 40
"""Maximum width of the column of clip ids. A longer id moves the rest of its line."""
BAR_CHARS = 24
"""Number of characters that represent a probability of 1."""


@contextmanager
def csv_writer(
    path: Path, classes: Sequence[str], *, model_warning: str
) -> Iterator[Callable[[Prediction], None]]:
    """Open a CSV file, and yield a function that writes one prediction.

    Each row is written at once to a file next to it, with the suffix ``.partial``. It
    gets its name after the last row. If the caller raises an error, the partial file
    remains, and a line on standard error names it.

    Args:
        path: The CSV file.
        classes: Names of the classes.
        model_warning: Warning about the models, part of every row.

    Raises:
        SettingsError: If the path is a folder.
    """
    if path.is_dir():
        msg = f"--out {path}: is a folder; expected the name of a CSV file"
        raise SettingsError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    rows = 0
    try:
        with (
            name_file_in_errors(partial),
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            table = csv.writer(file)
            table.writerow([*COLUMNS, *(f"p_{c}" for c in classes)])

            def write(prediction: Prediction) -> None:
                nonlocal rows
                table.writerow(_csv_row(prediction, len(classes), model_warning))
                file.flush()
                rows += 1

            yield write
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except BaseException:
        if rows:
            click.echo(f"{rows} finished predictions are in {partial}", err=True)
        else:
            partial.unlink(missing_ok=True)
        raise


def _csv_row(prediction: Prediction, classes: int, model_warning: str) -> list[str]:
    bounds_s = prediction.clip.window_s or prediction.judged_s or (math.nan, math.nan)
    times_s = [*bounds_s, prediction.clip.stop_s]
    probabilities = (prediction.probabilities or {}).values()
    warnings = (model_warning, prediction.missing_note, prediction.coverage_text())
    return [
        prediction.clip_id,
        *("" if math.isnan(t) else f"{t:.3f}" for t in times_s),
        prediction.status,
        prediction.reason,
        prediction.missing or "",
        "; ".join(filter(None, warnings)) if prediction.probabilities else "",
        prediction.emotion or "",
        *([f"{p:.6f}" for p in probabilities] or [""] * classes),
    ]


class LineTable:
    """Table of the predictions of several clips, one line per clip.

    Its column widths are known before the first prediction, so that each line can be
    printed as soon as its clip is predicted.
    """

    def __init__(self, clip_ids: Sequence[str], classes: Sequence[str]) -> None:
        """Set the widths of the columns."""
        names = max(map(len, [*classes, *STATUSES]))
        clip = max(len("clip"), *(min(len(name), CLIP_CHARS) for name in clip_ids))
        self._widths = (clip, names, len("percent"), names + len(" 99.9"))

    def header(self) -> str:
        """Return the line of column names, and a rule."""
        head = self._line("clip", "emotion", "percent", "second", "note")
        return f"{head}\n{'-' * len(head)}"

    def line(self, prediction: Prediction) -> str:
        """Return the clip, its two most probable classes, and a note."""
        if prediction.probabilities is None:
            cells = (prediction.status, "", "")
        else:
            first, second = _ranked(prediction)[:2]
            cells = (
                first[1],
                f"{100 * first[0]:.1f}",
                f"{second[1]} {100 * second[0]:.1f}",
            )
        notes = _notes(prediction)
        note = "; ".join(filter(None, notes))
        return self._line(prediction.label, *cells, " ".join(note.split()))

    def _line(
        self, clip: str, emotion: str, percent: str, second: str, note: str
    ) -> str:
        clip_chars, names, numbers, seconds = self._widths
        line = (
            f"{clip:{clip_chars}}  {emotion:{names}}  {percent:>{numbers}}  "
            f"{second:{seconds}}  {note}"
        )
        return line.rstrip()


def print_classes(prediction: Prediction, console: Console) -> None:
    """Print a table of all classes of one clip."""
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(_table_of_classes(prediction))


def _table_of_classes(prediction: Prediction) -> Table:
    title = f"{prediction.clip_id}: {prediction.emotion}"
    table = Table(title=Text(title), box=box.ASCII2, title_justify="left")
    table.add_column("emotion")
    table.add_column("percent", justify="right")
    table.add_column("", min_width=BAR_CHARS)
    for probability, name in _ranked(prediction):
        bar = "#" * round(BAR_CHARS * probability)
        table.add_row(name, f"{100 * probability:.1f}", bar)
    table.caption = Text("; ".join(filter(None, _notes(prediction))))
    return table


def _notes(prediction: Prediction) -> tuple[str, ...]:
    return prediction.missing_note, prediction.coverage_text(), prediction.reason


def _ranked(prediction: Prediction) -> list[tuple[float, str]]:
    """Return the probability and the name of each class, most probable class first."""
    return sorted(
        ((p, name) for name, p in (prediction.probabilities or {}).items()),
        reverse=True,
    )
