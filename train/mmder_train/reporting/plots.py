"""Plots of a comparison as SVG; equal scores yield equal bytes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from mmder_train.evaluation.confusion_plot import confusion_figure
from mmder_train.reporting.comparison import Ranking, ResultRow
from mmder_train.runtime import figure_style
from mmder_train.runtime.figure_style import COLORS, COLUMN_IN, GRAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN_COLOR = COLORS[0]
INK = "#2b2b2b"
MARKS = {
    # Form, edge and fill color. Filled only if published code or splits confirm it.
    "yes": ("D", INK, INK),
    "claimed": ("D", COLORS[1], "none"),
    "no": ("x", COLORS[1], "none"),
    "not checked": ("s", GRAY, "none"),
    "unknown: clips are split": ("s", GRAY, "none"),
}
NAME_CHARS = 56
"""Maximum length of the name of a row."""
ROW_IN = 0.3
"""Height of a row, in inches."""


def scores(ranking: Ranking) -> bytes:
    """Draw the WAR of every row of a ranking as SVG; see `_scores_figure`."""
    with figure_style.paper_style():
        return _svg(_scores_figure(ranking))


def _scores_figure(ranking: Ranking) -> "Figure":
    """Draw the WAR of every row of a ranking, and the intervals of the runs.

    The name and the WAR of a row are above its mark. A run whose encoder is frozen with
    random weights has a hollow mark. Published results without WAR are omitted. Call it
    inside `figure_style.paper_style`.
    """
    with_war = [(r, r.war) for r in ranking.published if r.war is not None]
    num_rows = len(ranking.rows) + len(with_war)
    figure = figure_style.new_figure(COLUMN_IN, 0.6 + ROW_IN * num_rows)
    axes = figure.subplots()
    chance = 100 * ranking.rows[0].chance[0]
    axes.axvline(chance, color=GRAY, linewidth=1, linestyle=(0, (4, 3)))
    for y, row in enumerate(ranking.rows):
        low, high = row.intervals[0] if row.intervals else (row.war, row.war)
        axes.plot([100 * low, 100 * high], [y, y], color=OWN_COLOR, linewidth=1.6)
        axes.plot(
            100 * row.war,
            y,
            "o",
            markeredgecolor=OWN_COLOR,
            markerfacecolor="white" if row.has_random_encoder else OWN_COLOR,
            markersize=4.5,
        )
        _name_row(axes, y, f"{row.title}: {100 * row.war:.1f}", OWN_COLOR)
    for y, (published, war) in enumerate(with_war, start=len(ranking.rows)):
        form, edge, fill = MARKS[published.setting.speaker_independent]
        axes.plot(
            war,
            y,
            form,
            markeredgecolor=edge,
            markerfacecolor=fill,
            markersize=4,
        )
        name = f"{published.method}, {published.modality}: {war:.2f}"
        _name_row(axes, y, name, INK)
    axes.set_yticks([])
    axes.set_ylim(num_rows - 0.5, -0.8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("WAR, percent (dashed: always the largest class)")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    return figure


def _name_row(axes: "Axes", y: int, name: str, color: str) -> None:
    """Write the name of a row above its mark, shortened to the width of the figure."""
    shown = name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 3]}..."
    text = figure_style.plain(shown)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.text(0.5, y - 0.2, text, color=color, va="bottom", bbox=box)


def confusion(row: ResultRow, classes: tuple[str, ...]) -> bytes:
    """Draw the confusion matrix of a row as SVG, summed over its seeds."""
    with figure_style.paper_style():
        return _svg(confusion_figure(np.asarray(row.confusion), classes, ""))


def _svg(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
