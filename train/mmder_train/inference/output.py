"""Write predictions to a CSV file, or print them as a table."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_train.inference.predictor import Prediction
from mmder_train.runtime.console import PLAIN_WIDTH

COLUMNS = ("clip", "status", "reason", "emotion")
"""Columns of the CSV file, followed by one probability per class."""
BAR_CHARS = 24
"""Number of characters that represent a probability of 1."""


@contextmanager
def csv_writer(
    path: Path, classes: Sequence[str]
) -> Iterator[Callable[[Prediction], None]]:
    """Open a CSV file, and yield a function that writes one prediction.

    The file appears under its name only after all rows were written.

    Raises:
        SettingsError: If the path is a folder.
    """
    if path.is_dir():
        msg = f"--out {path}: is a folder; expected the name of a CSV file"
        raise SettingsError(msg)
    with (
        atomic_write(path) as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow([*COLUMNS, *(f"p_{c}" for c in classes)])

        def write(prediction: Prediction) -> None:
            probabilities = (prediction.probabilities or {}).values()
            cells = [f"{p:.6f}" for p in probabilities] or [""] * len(classes)
            table.writerow(
                [
                    prediction.clip_id,
                    prediction.status,
                    prediction.reason,
                    prediction.emotion or "",
                    *cells,
                ]
            )

        yield write


def print_predictions(predictions: Sequence[Prediction], console: Console) -> None:
    """Print a table of predictions.

    The table lists all classes of a single clip. For several clips, it has one row per
    clip with its two most probable classes.
    """
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    if len(predictions) == 1 and predictions[0].probabilities is not None:
        console.print(_table_of_classes(predictions[0]))
    else:
        console.print(_table_of_clips(predictions))


def _table_of_classes(prediction: Prediction) -> Table:
    title = f"{prediction.clip_id}: {prediction.emotion}"
    table = Table(title=Text(title), box=box.ASCII2, title_justify="left")
    table.add_column("emotion")
    table.add_column("percent", justify="right")
    table.add_column("", min_width=BAR_CHARS)
    for probability, name in _ranked(prediction):
        bar = "#" * round(BAR_CHARS * probability)
        table.add_row(name, f"{100 * probability:.1f}", bar)
    if prediction.reason:
        table.caption = Text(prediction.reason)
    return table


def _table_of_clips(predictions: Sequence[Prediction]) -> Table:
    table = Table(box=box.ASCII2)
    table.add_column("clip", overflow="fold")
    table.add_column("emotion")
    table.add_column("percent", justify="right")
    table.add_column("second")
    table.add_column("note", overflow="fold")
    for prediction in predictions:
        clip, note = Text(prediction.clip_id), Text(prediction.reason)
        if prediction.probabilities is None:
            table.add_row(clip, prediction.status, "", "", note)
            continue
        first, second = _ranked(prediction)[:2]
        table.add_row(
            clip,
            first[1],
            f"{100 * first[0]:.1f}",
            f"{second[1]} {100 * second[0]:.1f}",
            note,
        )
    return table


def _ranked(prediction: Prediction) -> list[tuple[float, str]]:
    """Return the probability and the name of each class, most probable class first."""
    return sorted(
        ((p, name) for name, p in (prediction.probabilities or {}).items()),
        reverse=True,
    )
