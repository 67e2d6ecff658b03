"""TODO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_confusion(
    path: Path, name: str, found: Mapping[str, Any], classes: Sequence[str]
) -> None:
    """Draw the pooled confusion matrix as PNG."""
    pooled = found["pooled"]
    title = (
        f"{name}: WAR {pooled['war']:.1%}, UAR {pooled['uar']:.1%}\n"
        f"{pooled['clips']} clips of {len(found['folds'])} test folds"
    )
    figure = confusion_figure(np.array(pooled["confusion"]), classes, title)
    figure.savefig(path, format="png", dpi=130)


def confusion_figure(
    counts: Int64[np.ndarray, "class class"], classes: Sequence[str], title: str
) -> "Figure":
    """Draw a confusion matrix: colour is recall, numbers are clips."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(classes), 1.7 + 0.8 * len(classes)))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), clips in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{clips}\n{share[row, column]:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11)
    bar = figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    figure.tight_layout()
    return figure
