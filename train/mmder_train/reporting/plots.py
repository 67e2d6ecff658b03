"""Plots of a comparison as SVG; equal scores yield equal bytes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from mmder_train.evaluation.confusion_plot import confusion_figure
from mmder_train.reporting.comparison import Ranking, ResultRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN_COLOR = "#1f5fa8"
CHANCE_COLOR = "#8a8a8a"
MARK_COLORS = {
    # Edge and fill color. Filled only if published code or splits confirm it.
    "yes": ("#2b2b2b", "#2b2b2b"),
    "claimed": ("#c2571a", "none"),
    "no": ("#b3261e", "none"),
    "not checked": ("#8a8a8a", "none"),
    "unknown: clips are split": ("#8a8a8a", "none"),
}
NAME_CHARS = 72
"""Maximum length of the name of a row."""
WIDTH_IN, ROW_IN = 5.2, 0.42
"""Width of the figure and height of a row in inches: readable on a phone."""


def scores(ranking: Ranking) -> bytes:
    """Draw the WAR of every row of a ranking, and the intervals of the runs.

    The name and the WAR of a row are above its mark. A run whose encoder is frozen with
    random weights has a hollow mark. Published results without WAR are omitted.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with_war = [(r, r.war) for r in ranking.published if r.war is not None]
    num_rows = len(ranking.rows) + len(with_war)
    figure = Figure(figsize=(WIDTH_IN, 0.8 + ROW_IN * num_rows))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    chance = 100 * ranking.rows[0].chance[0]
    axes.axvline(chance, color=CHANCE_COLOR, linewidth=1, linestyle=(0, (4, 3)))
    for y, row in enumerate(ranking.rows):
        low, high = row.intervals[0] if row.intervals else (row.war, row.war)
        axes.plot([100 * low, 100 * high], [y, y], color=OWN_COLOR, linewidth=2)
        axes.plot(
            100 * row.war,
            y,
            "o",
            markeredgecolor=OWN_COLOR,
            markerfacecolor="white" if row.has_random_encoder else OWN_COLOR,
            markersize=6,
        )
        _name_row(axes, y, f"{row.title}: {100 * row.war:.1f}", OWN_COLOR)
    for y, (published, war) in enumerate(with_war, start=len(ranking.rows)):
        edge, fill = MARK_COLORS[published.setting.speaker_independent]
        axes.plot(
            war,
            y,
            "D",
            markeredgecolor=edge,
            markerfacecolor=fill,
            markersize=5,
        )
        name = f"{published.method}, {published.modality}: {war:.2f}"
        _name_row(axes, y, name, "#2b2b2b")
    axes.set_yticks([])
    axes.set_ylim(num_rows - 0.5, -0.8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("WAR, percent (dashed: always the largest class)", fontsize=9)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=9)
    figure.tight_layout()
    return _svg(figure)


def _name_row(axes: "Axes", y: int, name: str, color: str) -> None:
    """Write the name of a row above its mark, shortened to the width of the figure."""
    shown = name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 3]}..."
    # matplotlib would read a dollar sign in a name as the start of a formula.
    text = shown.replace("$", r"\$")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.text(0.5, y - 0.22, text, fontsize=9, color=color, va="bottom", bbox=box)


def confusion(row: ResultRow, classes: tuple[str, ...]) -> bytes:
    """Draw the confusion matrix of a row, summed over its seeds."""
    return _svg(confusion_figure(np.asarray(row.confusion), classes, ""))


def _svg(figure: "Figure") -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "mmder"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
