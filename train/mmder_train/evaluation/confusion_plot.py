"""Draw confusion matrices."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int64

from mmder_train.evaluation.model_quality import has_random_encoder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_confusion(
    path: Path,
    name: str,
    scores: Mapping[str, Any],
    classes: Sequence[str],
    *,
    config: Mapping[str, Any],
    image_format: Literal["png", "svg"],
) -> None:
    """Write the pooled confusion matrix of a strategy.

    The PNG has a title. The SVG has none, so that a paper can add a caption. Both name
    the scores, the spectrogram, the encoder and its weights in their metadata.

    Args:
        path: File to write.
        name: Name of the strategy, for the title.
        scores: Scores of the strategy, from `summary.summarize_folds`.
        classes: Class names.
        config: Settings of the run.
        image_format: Format of the file.
    """
    from matplotlib import rc_context

    pooled = scores["pooled"]
    clips = f"{pooled['clips']} clips of {len(scores['folds'])} test folds"
    if "seeds" in scores:
        clips += f", {len(scores['seeds'])} seeds"
    result = f"{name}: WAR {pooled['war']:.1%}, UAR {pooled['uar']:.1%}"
    model = model_text(config)
    description = ", ".join(filter(None, [clips, model]))
    lines = [result, *textwrap.wrap(description, 12 + 7 * len(classes))]
    title = "\n".join(lines) if image_format == "png" else ""
    figure = confusion_figure(np.array(pooled["confusion"]), classes, title)
    metadata: dict[str, str | None] = {"Title": result, "Description": description}
    if image_format == "svg":
        metadata |= {"Date": None}  # equal scores yield equal bytes
    with rc_context({"svg.hashsalt": "mmder"}):
        figure.savefig(path, format=image_format, dpi=160, metadata=metadata)


def model_text(config: Mapping[str, Any]) -> str:
    """Return the encoder, its weights and the spectrogram, as far as they are set."""
    weights = config.get("weights")
    if has_random_encoder(config):
        weights = "random (frozen)"
    values = {
        "encoder": config.get("encoder"),
        "weights": weights,
        "spectrogram": config.get("spectrogram"),
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)


def confusion_figure(
    counts: Int64[np.ndarray, "class class"], classes: Sequence[str], title: str
) -> "Figure":
    """Draw a confusion matrix. The color is the recall, the numbers are clips.

    Args:
        counts: Confusion matrix.
        classes: Class names.
        title: Title, empty for none.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    lines_in = 0.18 * len(title.splitlines())
    figure = Figure(
        figsize=(1.1 + 0.6 * len(classes), 1.0 + 0.5 * len(classes) + lines_in)
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1, aspect="auto")
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
    axes.set_xlabel("predicted (clips, fraction of the true class)")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if title:
        axes.set_title(title, fontsize=9)
    figure.tight_layout()
    return figure
