"""Pictures of a comparison, as SVG: equal scores give equal bytes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from mmder_train.evaluation.confusion_plot import confusion_figure
from mmder_train.reporting.comparison import Ranking, ResultRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = "#1f5fa8"
CHANCE = "#8a8a8a"
MARKS = {
    # Colour, and whether the mark is filled: only what published code or splits show.
    "yes": ("#2b2b2b", "#2b2b2b"),
    "claimed": ("#c2571a", "none"),
    "no": ("#b3261e", "none"),
    "not checked": ("#8a8a8a", "none"),
}
ROW_IN = 0.3
"""Height of a row."""


def scores(ranking: Ranking) -> bytes:
    """Draw the WAR of every row over these classes, ours with intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(ranking.rows) + len(ranking.published)
    figure = Figure(figsize=(9, 1.3 + ROW_IN * rows))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = []
    for place, entry in enumerate(ranking.rows):
        low, high = entry.intervals[0] if entry.intervals else (entry.war, entry.war)
        axes.plot([100 * low, 100 * high], [place, place], color=OWN, linewidth=2.5)
        axes.plot(100 * entry.war, place, "o", color=OWN, markersize=7)
        names.append(entry.title)
    for place, row in enumerate(ranking.published, start=len(ranking.rows)):
        edge, inside = MARKS[row.setting.independent]
        axes.plot(
            row.war,
            place,
            "D",
            markeredgecolor=edge,
            markerfacecolor=inside,
            markersize=6,
        )
        names.append(f"{row.method}, {row.modality}")
    chance = 100 * ranking.rows[0].chance[0]
    axes.axvline(chance, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(
        chance + 0.8,
        rows - 0.45,
        "always the largest class",
        color=CHANCE,
        fontsize=8,
        va="bottom",
    )
    axes.set_yticks(range(rows), names, fontsize=9)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("WAR, percent", fontsize=9)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    figure.tight_layout()
    return _svg(figure)


def confusion(entry: ResultRow, classes: tuple[str, ...]) -> bytes:
    """Draw the confusion matrix of an entry, its seeds taken together."""
    title = f"WAR {entry.war:.1%}, UAR {entry.uar:.1%}"
    if len(entry.tested) > 1:
        title += f" ({len(entry.tested)} seeds)"
    return _svg(confusion_figure(np.asarray(entry.confusion), classes, title))


def _svg(figure: "Figure") -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "mmder"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
