"""Draw confusion matrices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_confusion(
    path: Path, name: str, scores: Mapping[str, Any], classes: Sequence[str]
) -> None:
    """Write the pooled confusion matrix of a strategy as PNG.

    Args:
        path: File to write.
        name: Name of the strategy, for the title.
        scores: Scores of the strategy, from `summary.summarize_folds`.
        classes: Class names.
    """
    pooled = scores["pooled"]
    title = (
        f"{name}: WAR {pooled['war']:.1%}, UAR {pooled['uar']:.1%}\n"
        f"{pooled['clips']} clips of {len(scores['folds'])} test folds"
    )
    figure = confusion_figure(np.array(pooled["confusion"]), classes, title)
    figure.savefig(path, format="png", dpi=130)


def confusion_figure(
    counts: Int64[np.ndarray, "class class"], classes: Sequence[str], title: str
) -> "Figure":
    """Draw a confusion matrix. The color is the recall, the numbers are clips."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(classes), 1.7 + 0.8 * len(classes)))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    for (row, column), clips in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{clips}\n{fraction[row, column]:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if fraction[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("fraction of the true class")
    bar.outline.set_visible(False)
    figure.tight_layout()
    return figure
