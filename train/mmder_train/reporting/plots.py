"""Plots of a comparison as SVG; equal scores yield equal bytes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from mmder_train.evaluation.confusion_plot import confusion_figure
from mmder_train.reporting.comparison import Ranking, ResultRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN_COLOR = "#1f5fa8"
CHANCE_COLOR = "#8a8a8a"
MARK_COLORS = {
    # Edge and fill color. Filled only if published code or splits confirm it.
    "yes": ("#2b2b2b", "#2b2b2b"),
    "claimed": ("#c2571a", "none"),
    "no": ("#b3261e", "none"),
    "not checked": ("#8a8a8a", "none"),
}
ROW_IN = 0.3
"""Height of a row in inches."""


def scores(ranking: Ranking) -> bytes:
    """Draw the WAR of every row of a ranking, and the intervals of the runs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_rows = len(ranking.rows) + len(ranking.published)
    figure = Figure(figsize=(9, 1.3 + ROW_IN * num_rows))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = []
    for y, row in enumerate(ranking.rows):
        low, high = row.intervals[0] if row.intervals else (row.war, row.war)
        axes.plot([100 * low, 100 * high], [y, y], color=OWN_COLOR, linewidth=2.5)
        axes.plot(100 * row.war, y, "o", color=OWN_COLOR, markersize=7)
        names.append(row.title)
    for y, published in enumerate(ranking.published, start=len(ranking.rows)):
        edge, fill = MARK_COLORS[published.setting.speaker_independent]
        axes.plot(
            published.war,
            y,
            "D",
            markeredgecolor=edge,
            markerfacecolor=fill,
            markersize=6,
        )
        names.append(f"{published.method}, {published.modality}")
    chance = 100 * ranking.rows[0].chance[0]
    axes.axvline(chance, color=CHANCE_COLOR, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(
        chance + 0.8,
        num_rows - 0.45,
        "always the largest class",
        color=CHANCE_COLOR,
        fontsize=8,
        va="bottom",
    )
    axes.set_yticks(range(num_rows), names, fontsize=9)
    axes.set_ylim(num_rows - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("WAR, percent", fontsize=9)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    figure.tight_layout()
    return _svg(figure)


def confusion(row: ResultRow, classes: tuple[str, ...]) -> bytes:
    """Draw the confusion matrix of a row, summed over its seeds."""
    title = f"WAR {row.war:.1%}, UAR {row.uar:.1%}"
    if len(row.runs) > 1:
        title += f" ({len(row.runs)} seeds)"
    return _svg(confusion_figure(np.asarray(row.confusion), classes, title))


def _svg(figure: "Figure") -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "mmder"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
