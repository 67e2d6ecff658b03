"""The printed table of a strategy: one row per fold, then summary rows."""

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.evaluation.summary import summarize_folds
from mmder_train.evaluation.tables import print_tables

TABLE = """\
cfas (eq. 1), percent
+-----------------+------------------------------------+-------+--------------+--------------+--------------+
| fold            | tested speakers                    | clips |          WAR |          UAR |  weighted F1 |
+-----------------+------------------------------------+-------+--------------+--------------+--------------+
| 1               | 01, 02, 03, 04, ...                |     4 |         75.0 |         75.0 |         73.3 |
| 2               | 06                                 |     4 |         50.0 |         50.0 |         50.0 |
+-----------------+------------------------------------+-------+--------------+--------------+--------------+
| mean +- std     | over folds                         |       | 62.5 +- 12.5 | 62.5 +- 12.5 | 61.7 +- 11.7 |
| pooled          | all clips                          |     8 |         62.5 |         62.5 |         61.9 |
| best test epoch | not valid: chosen on the test side |       |        100.0 |        100.0 |        100.0 |
| chance          | always the largest class           |       |         50.0 |         50.0 |         33.3 |
+-----------------+------------------------------------+-------+--------------+--------------+--------------+
confusion matrix: run/confusion-cfas.png
all numbers: run/results.json
"""  # noqa: E501


def test_table_of_a_strategy() -> None:
    counts = {1: np.array([[2, 0], [1, 1]]), 2: np.array([[1, 1], [1, 1]])}
    speakers = {1: ("01", "02", "03", "04", "05"), 2: ("06",)}
    details = {k: {"speakers": names} for k, names in speakers.items()}
    scores = {
        "equation": "eq. 1",
        "best_test_epoch": {"war": 1.0, "uar": 1.0, "weighted_f1": 1.0},
        **summarize_folds(counts, details),
    }
    output = io.StringIO()
    console = Console(file=output)
    results = {"strategies": {"cfas": scores}}
    print_tables(results, RunDirectory(path=Path("run")), console)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert lines == TABLE.splitlines()


DROPPED = """\
cfas, modalities at test, percent
+------------+-------+------+------+-------------+--------------------+--------------------+---------------------------+
|            |       |      |      |             |                    |                    |      weighted F1, mean of |
| modalities | clips |  WAR |  UAR | weighted F1 | WAR, mean of folds | UAR, mean of folds |                     folds |
+------------+-------+------+------+-------------+--------------------+--------------------+---------------------------+
| both       |     8 | 62.5 | 62.5 |        61.9 |       62.5 +- 12.5 |       62.5 +- 12.5 |              61.7 +- 11.7 |
| no audio   |     8 | 37.5 | 37.5 |        36.5 |       37.5 +- 12.5 |       37.5 +- 12.5 |              35.0 +- 15.0 |
+------------+-------+------+------+-------------+--------------------+--------------------+---------------------------+
| chance     |       | 50.0 | 50.0 |        33.3 |                    |                    |                           |
+------------+-------+------+------+-------------+--------------------+--------------------+---------------------------+
"""  # noqa: E501


def test_table_of_the_modalities_at_test() -> None:
    counts = {1: np.array([[2, 0], [1, 1]]), 2: np.array([[1, 1], [1, 1]])}
    swapped = {k: c[:, ::-1] for k, c in counts.items()}
    scores = {
        "equation": "eq. 1",
        **summarize_folds(counts, {k: {"speakers": ("06",)} for k in counts}),
        "dropped": {"audio": summarize_folds(swapped, {1: {}, 2: {}})},
    }
    output = io.StringIO()
    print_tables(
        {"strategies": {"cfas": scores}},
        RunDirectory(path=Path("run")),
        Console(file=output),
    )
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    start = lines.index(DROPPED.splitlines()[0])
    assert lines[start : start + len(DROPPED.splitlines())] == DROPPED.splitlines()
