"""Figures of a paper: scores with intervals, recall of each class, learning curves.

Each is one column wide. Call the functions inside `figure_style.paper_style`.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmder_train.reporting.comparison import Ranking
from mmder_train.runtime import figure_style
from mmder_train.runtime.figure_style import COLORS, COLUMN_IN, GRAY, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 8
"""Maximum number of rows whose recall is drawn: as many as there are colors."""
MARKERS = "osD^vXP*"
"""Forms of the marks of the rows."""
LINE_CHARS = 26
"""Maximum length of a line of the name of a row."""
LINE_IN = 0.13
"""Height of a line of text."""
History = Sequence[Mapping[str, float]]
"""One row per epoch of a fold."""


def scores_figure(ranking: Ranking) -> "Figure":
    """Draw WAR and UAR of the runs with their 95 % intervals over speakers."""
    rows, names = ranking.rows, row_names([row.title for row in ranking.rows])
    names = ["\n".join(textwrap.wrap(name, LINE_CHARS)) for name in names]
    row_in = max(0.26, LINE_IN * max(1 + name.count("\n") for name in names))
    figure = figure_style.new_figure(COLUMN_IN, 0.75 + row_in * len(rows))
    axes = figure.subplots()
    for score, (label, form) in enumerate((("WAR", "o"), ("UAR", "s"))):
        color = COLORS[score]
        for y, row in enumerate(rows):
            low, high = row.intervals[score] if row.intervals else (np.nan, np.nan)
            place = y + (score - 0.5) * 0.3
            axes.plot([100 * low, 100 * high], [place, place], color=color)
            axes.plot(
                100 * (row.war, row.uar)[score],
                place,
                form,
                color=color,
                label=label if y == 0 else None,
                clip_on=False,
            )
        axes.axvline(
            100 * rows[0].chance[score], color=color, linestyle=":", linewidth=0.8
        )
    _name_rows(axes, names)
    axes.set_xlim(0, 100)
    axes.grid(axis="x")
    figure.supxlabel(
        "percent (lines: 95 % intervals over speakers, dotted: chance)",
        fontsize=figure_style.FONT_PT,
    )
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def recall_figure(ranking: Ranking) -> "Figure":
    """Draw the recall of each class, one mark per run, for the best `MAX_ROWS` runs."""
    rows = ranking.rows[:MAX_ROWS]
    names = row_names([row.title for row in rows])
    columns = 1 if max(map(len, names)) > LINE_CHARS else 2
    names = ["\n".join(textwrap.wrap(name, 2 * LINE_CHARS)) for name in names]
    lines = -(-(1 + sum(1 + name.count("\n") for name in names)) // columns)
    figure = figure_style.new_figure(
        COLUMN_IN, 0.55 + 0.26 * len(ranking.classes) + LINE_IN * lines
    )
    axes = figure.subplots()
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        shift = (number - (len(rows) - 1) / 2) * 0.7 / max(1, len(rows))
        axes.plot(
            100 * row.recall,
            np.arange(len(ranking.classes)) + shift,
            MARKERS[number],
            color=COLORS[number],
            label=plain(name),
            clip_on=False,
        )
    axes.axvline(
        100 / len(ranking.classes),
        color=GRAY,
        linestyle=":",
        linewidth=0.8,
        label="chance",
    )
    _name_rows(axes, ranking.classes)
    for y in range(1, len(ranking.classes)):
        axes.axhline(y - 0.5, color="#e6e6e6", linewidth=0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("recall, percent")
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=columns, labelspacing=0.25)
    return figure


def row_names(titles: Sequence[str]) -> list[str]:
    """Return the parts of the titles of rows that not all rows have.

    >>> row_names(["cfas, tiny, lr 1", "sfas, tiny, lr 1", "sfas, tiny, lr 2"])
    ['cfas, lr 1', 'sfas, lr 1', 'sfas, lr 2']
    """
    parts = [title.split(", ") for title in titles]
    common = set(parts[0]).intersection(*parts) if len(parts) > 1 else set()
    names = [[part for part in row if part not in common] for row in parts]
    return [", ".join(name or row[:1]) for name, row in zip(names, parts, strict=True)]


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Name the rows of a plot, the first at the top."""
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def learning_curves_figure(histories: Sequence[History]) -> "Figure":
    """Draw the training loss of the folds, and their UAR after each epoch if known.

    Thin lines are folds, thick lines their mean over the epochs that all folds have.

    Args:
        histories: Rows of the epochs of each fold.
    """
    scored = [
        (name, label)
        for name, label in (("val_uar", "validation"), ("test_uar", "test"))
        if all(name in row for history in histories for row in history)
    ]
    panels = 2 if scored else 1
    figure = figure_style.new_figure(COLUMN_IN, 0.45 + 1.25 * panels)
    axes = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
    _draw_curves(axes[0], histories, "loss", 0, "", 1.0)
    axes[0].set_ylabel("training loss")
    axes[0].set_ylim(bottom=0)
    axes[0].grid(axis="y")
    for number, (name, label) in enumerate(scored):
        _draw_curves(axes[1], histories, name, number, label, 100.0)
    if scored:
        figure_style.score_axis(axes[1], "UAR, percent")
        axes[1].legend(loc="lower right", ncols=2)
    axes[-1].set_xlabel("epoch")
    return figure


def _draw_curves(
    axes: "Axes",
    histories: Sequence[History],
    name: str,
    number: int,
    label: str,
    factor: float,
) -> None:
    """Draw one value of all folds over the epochs."""
    style = figure_style.line_style(number)
    curves = [[factor * row[name] for row in history] for history in histories]
    for curve in curves:
        epochs = range(1, len(curve) + 1)
        axes.plot(epochs, curve, **style | {"linewidth": 0.4, "alpha": 0.6})
    common = min(map(len, curves))
    mean = np.mean([curve[:common] for curve in curves], axis=0)
    axes.plot(range(1, common + 1), mean, label=label, **style)
