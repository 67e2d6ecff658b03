"""The paper's table with a frozen encoder: eight inputs, six folds, 1,440 clips.

The clips are generated ones, repeated, so the scores mean nothing. The time of
`mmder-train` is divided into encoding, heads, and the rest: the store's columns,
results and figures. The imports before are not counted. A second run takes the features
of the first and trains its heads one after the other with the trainer's own loop. Both
must print the same table.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from data import table_store
from linear_probe_heads import train_alone
from mmder_store.atomic_files import write_json
from mmder_train.cli import cli
from mmder_train.experiment import linear_probe
from mmder_train.runtime.progress import Progress
from mmder_train.training.batched_heads import HeadPlan, HeadTask, TrainedHead
from record import Figure, recorded, save, show

CLIPS = 1440
"""Number of clips of RAVDESS' speech."""
Seconds = dict[str, float]


def run_table(
    store: Path, out: Path, *, encoder: str, device: str, words: Sequence[str] = ()
) -> Seconds:
    """Run `mmder-train` on all strategies and folds, and return its seconds.

    They are those of ``encoding``, ``heads`` and ``total``.

    Args:
        store: The store.
        out: Folder for the run. The features are cached next to it.
        encoder: Name of the encoder.
        device: ``cpu`` or ``cuda``.
        words: Further options.
    """
    options = ["--store", store, "--strategy", "all", "--fold", "all", "--out", out]
    options += ["--encoder", encoder, "--device", device, *words]
    options += ["--feature-cache", out.with_name("features")]
    seconds: Seconds = defaultdict(float)
    start = time.perf_counter()
    with (
        clocked(linear_probe, "clip_features", seconds, "encoding"),
        clocked(linear_probe, "train_heads", seconds, "heads"),
    ):
        try:
            cli([str(word) for word in options], standalone_mode=False)
        except click.ClickException as error:
            sys.exit(error.format_message())
    return {**seconds, "total": time.perf_counter() - start}


@contextmanager
def clocked(module: Any, name: str, seconds: Seconds, part: str) -> Iterator[None]:  # noqa: ANN401
    """Add up the seconds in a function of a module, which is replaced meanwhile.

    If it returns an iterator, the seconds in that are added.
    """
    function = getattr(module, name)

    def timed(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401
        with stopwatch(seconds, part):
            result = function(*args, **kwargs)
        return timed_items(result) if isinstance(result, Iterator) else result

    def timed_items(items: Iterator[object]) -> Iterator[object]:
        while True:
            with stopwatch(seconds, part):
                item = next(items, None)
            if item is None:
                return
            yield item

    with replaced(module, name, timed):
        yield


@contextmanager
def stopwatch(seconds: Seconds, part: str) -> Iterator[None]:
    """Add the seconds of a block to those of a part."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] += time.perf_counter() - start


@contextmanager
def replaced(module: Any, name: str, function: Callable[..., object]) -> Iterator[None]:  # noqa: ANN401
    """Replace a function of a module."""
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)


def train_one_by_one(
    tasks: Sequence[HeadTask], plan: HeadPlan, *, progress: Progress
) -> list[TrainedHead]:
    """Train heads as `train_heads` does, one after the other."""
    heads = []
    for task in tasks:
        heads.append(train_alone(task, plan))
        progress.step(clips=plan.epochs * len(task.train), waited_s=0.0)
    return heads


def different_predictions(a: Path, b: Path) -> tuple[int, int]:
    """Return the number of predictions of two runs that differ, and of all."""
    different = total = 0
    for file in sorted(a.glob("predictions-*.csv")):
        pairs = zip(
            read_predictions(file), read_predictions(b / file.name), strict=True
        )
        for one, other in pairs:
            different += one != other
            total += 1
    return different, total


def read_predictions(file: Path) -> list[tuple[str, str]]:
    """Read the id and the predicted class of each clip."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [(row["clip_id"], row["predicted"]) for row in csv.DictReader(lines)]


def different_scores(a: Path, b: Path) -> int:
    """Return the number of printed scores, WAR and UAR of each fold, that differ."""
    one, other = (
        json.loads((folder / "results.json").read_text())["strategies"]
        for folder in (a, b)
    )
    return sum(
        round(x[score], 3) != round(y[score], 3)
        for name in one
        for x, y in zip(one[name]["folds"], other[name]["folds"], strict=True)
        for score in ("war", "uar")
    )


def measure(
    clips: int, encoder: str, device: str, *, before: bool = True
) -> list[Figure]:
    """Make the store, run the table, and run it again with the heads one by one.

    Args:
        clips: Number of clips of the store.
        encoder: Name of the encoder.
        device: ``cpu`` or ``cuda``.
        before: False to leave out the second run.
    """
    store = table_store(clips)
    with tempfile.TemporaryDirectory() as folder:
        together, alone = Path(folder, "together"), Path(folder, "alone")
        seconds = run_table(store, together, encoder=encoder, device=device)
        figures = time_figures(seconds)
        if before:
            with replaced(linear_probe, "train_heads", train_one_by_one):
                one_by_one = run_table(store, alone, encoder=encoder, device=device)
            different, total = different_predictions(together, alone)
            figures += [
                time_figure("heads one after the other", one_by_one["heads"]),
                Figure(
                    name="heads: one after the other by all together",
                    value=one_by_one["heads"] / seconds["heads"],
                    unit="x",
                    better="more",
                ),
                count_figure(f"predictions of {total} that differ", different),
                count_figure(
                    "scores of the tables that differ",
                    different_scores(together, alone),
                ),
            ]
    return figures


def time_figures(seconds: Seconds) -> list[Figure]:
    """Return the times of a run and of its parts."""
    rest = seconds["total"] - seconds["encoding"] - seconds["heads"]
    return [
        time_figure("table", seconds["total"]),
        time_figure("encoding", seconds["encoding"]),
        time_figure("heads together", seconds["heads"]),
        time_figure("rest", rest),
    ]


def time_figure(name: str, seconds: float) -> Figure:
    """Return a figure of seconds."""
    return Figure(name=name, value=seconds, unit="s", better="less")


def count_figure(name: str, count: int) -> Figure:
    """Return a figure of a count whose goal is 0."""
    return Figure(name=name, value=count, unit="", better="less", goal=0)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--encoder", default="tiny")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--record", action="store_true", help="save the figures")
    parser.add_argument("--figures", type=Path, help="write the figures as JSON")
    options = parser.parse_args(words)
    figures = measure(options.clips, options.encoder, options.device)
    kind = f"probe_table {options.encoder} {options.clips} {options.device}"
    show({kind: figures}, recorded())
    if options.figures:
        write_json(options.figures, [asdict(figure) for figure in figures])
    if options.record:
        save({kind: figures})


if __name__ == "__main__":
    main()
