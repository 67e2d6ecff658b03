"""Draw confusion matrices."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from mmder_train.evaluation.model_quality import has_random_encoder
from mmder_train.runtime import figure_style
from mmder_train.runtime.figure_style import ImageFormat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_IN = 0.27
"""Height of a row."""
DARK_PERCENT = 55
"""Value above which the text of a cell is white."""
TITLE_CHARS = 58
"""Maximum length of a line of the title."""


def draw_confusion(
    path: Path,
    name: str,
    scores: Mapping[str, Any],
    classes: Sequence[str],
    *,
    config: Mapping[str, Any],
    image_format: ImageFormat,
) -> None:
    """Write the pooled confusion matrix of a strategy.

    The PNG has a title. The SVG and the PDF have none, so that a paper can add a
    caption. All name the scores, the spectrogram, the encoder and its weights in their
    metadata.

    Args:
        path: File to write.
        name: Name of the strategy, for the title.
        scores: Scores of the strategy, from `summary.summarize_folds`.
        classes: Class names.
        config: Settings of the run.
        image_format: Format of the file.
    """
    pooled = scores["pooled"]
    clips = f"{pooled['clips']} clips of {len(scores['folds'])} test folds"
    if "seeds" in scores:
        clips += f", {len(scores['seeds'])} seeds"
    result = f"{name}: WAR {pooled['war']:.1%}, UAR {pooled['uar']:.1%}"
    model = model_text(config)
    description = ", ".join(filter(None, [clips, model]))
    lines = [result, *textwrap.wrap(description, TITLE_CHARS)]
    title = "\n".join(lines) if image_format == "png" else ""
    with figure_style.paper_style():
        figure = confusion_figure(np.array(pooled["confusion"]), classes, title)
        figure_style.save_figure(
            figure,
            path,
            image_format=image_format,
            title=result,
            description=description,
        )


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
    """Draw a confusion matrix, one column wide: the percent of each true class.

    Call it inside `figure_style.paper_style`.

    Args:
        counts: Confusion matrix.
        classes: Class names.
        title: Title, empty for none.
    """
    total = counts.sum(axis=1)
    percent = 100 * counts / np.maximum(total, 1)[:, None]
    lines_in = 0.13 * len(title.splitlines())
    figure = figure_style.new_figure(
        figure_style.COLUMN_IN, 0.75 + ROW_IN * len(classes) + lines_in
    )
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        axes.text(
            column,
            row,
            f"{value:.0f}",
            ha="center",
            va="center",
            color="white" if value > DARK_PERCENT else "black",
        )
    names = [figure_style.plain(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=35, ha="right")
    axes.set_yticks(
        range(len(classes)),
        [f"{name} ({n})" for name, n in zip(names, total.tolist(), strict=True)],
    )
    axes.set_xlabel("predicted, percent of the true class")
    axes.set_ylabel("true (clips)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if title:
        figure.suptitle(figure_style.plain(title), x=0.01, ha="left")
    return figure
