"""Predictions for a program and for a person: a CSV file, and a table to read."""

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
"""Of the CSV file, before those of the classes' probabilities."""
BAR = 24
"""Characters of a probability of 1."""


@contextmanager
def csv_file(
    path: Path, classes: Sequence[str]
) -> Iterator[Callable[[Prediction], None]]:
    """Give what writes a row; the file has its name once all rows are in it.

    Raises:
        SettingsError: If there is a folder of this name.
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

        def write(one: Prediction) -> None:
            shares = one.probability or ()
            cells = [f"{p:.6f}" for p in shares] or [""] * len(classes)
            clip = one.clip
            emotion = one.emotion(classes)
            table.writerow([clip.clip_id, clip.status, clip.reason, emotion, *cells])

        yield write


def print_predictions(
    made: Sequence[Prediction], classes: Sequence[str], console: Console
) -> None:
    """Print all classes of one clip, or the two most probable ones of each of many."""
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    one = made[0].probability if len(made) == 1 else None
    if one is None:
        console.print(_of_many(made, classes))
    else:
        console.print(_of_one(made[0], one, classes))


def _of_one(clip: Prediction, shares: Sequence[float], classes: Sequence[str]) -> Table:
    title = f"{clip.clip.clip_id}: {clip.emotion(classes)}"
    table = Table(title=Text(title), box=box.ASCII2, title_justify="left")
    table.add_column("emotion")
    table.add_column("percent", justify="right")
    table.add_column("", min_width=BAR)
    for share, name in sorted(zip(shares, classes, strict=True), reverse=True):
        table.add_row(name, f"{100 * share:.1f}", "#" * round(BAR * share))
    if clip.clip.reason:
        table.caption = Text(clip.clip.reason)
    return table


def _of_many(made: Sequence[Prediction], classes: Sequence[str]) -> Table:
    table = Table(box=box.ASCII2)
    table.add_column("clip", overflow="fold")
    table.add_column("emotion")
    table.add_column("percent", justify="right")
    table.add_column("next")
    table.add_column("note", overflow="fold")
    for one in made:
        told = Text(one.clip.reason)
        if one.probability is None:
            table.add_row(Text(one.clip.clip_id), one.clip.status, "", "", told)
            continue
        first, second = sorted(
            zip(one.probability, classes, strict=True), reverse=True
        )[:2]
        table.add_row(
            Text(one.clip.clip_id),
            first[1],
            f"{100 * first[0]:.1f}",
            f"{second[1]} {100 * second[0]:.1f}",
            told,
        )
    return table
