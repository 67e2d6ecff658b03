"""Histograms of measures as reproducible SVG."""

from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmder_prep.quality.report.measures import Measure, beyond

BLUE, RED, GRAY = "#4a7ba6", "#b5482f", "#666666"
BINS = 24
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmder",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8,
}
NO_METADATA: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
"""Metadata to omit: date and version would make equal charts differ."""


def histogram(measure: Measure, values: Float64[np.ndarray, " clip"]) -> str:
    """Draw the distribution of a measure; clips beyond the limit are red.

    Args:
        measure: The measure.
        values: One value per clip, NaN if unknown. Only finite values are drawn.

    Returns:
        An SVG element; equal values yield equal text.
    """
    known = values[np.isfinite(values)]
    exceeding = known[beyond(measure, known)]
    bins = _bins(known)
    edges = np.histogram_bin_edges(known, bins=bins)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.3, 1.75), layout="constrained")
        axes = figure.subplots()
        axes.hist(known, bins=list(edges), color=BLUE)
        if len(exceeding):
            axes.hist(exceeding, bins=list(edges), color=RED)
            # The bar of a single clip among thousands is too flat to be visible.
            indices = np.unique(np.searchsorted(edges, exceeding, side="right") - 1)
            lefts = edges[indices]
            axes.plot(
                np.minimum(lefts + np.diff(edges)[0] / 2, edges[-1]),
                np.zeros(len(lefts)),
                linestyle="none",
                marker="^",
                markersize=4,
                color=RED,
                clip_on=False,
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel(_label(measure), color=GRAY)
        axes.set_ylabel("clips", color=GRAY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=isinstance(bins, list)))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(colors=GRAY, length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#bbbbbb")
        svg = StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata=NO_METADATA)
    # The document type declaration before the element contains a web address.
    return svg.getvalue()[svg.getvalue().index("<svg") :]


def _label(measure: Measure) -> str:
    """Return the name of a measure with its unit."""
    return f"{measure.name}, {measure.unit}" if measure.unit else measure.name


def _bins(known: Float64[np.ndarray, " clip"]) -> int | list[float]:
    """Return the number of bins, or one bin per integer if values are few integers."""
    low, high = float(known.min()), float(known.max())
    if high - low <= BINS and (known == np.rint(known)).all():
        return [float(edge) for edge in np.arange(low - 0.5, high + 1)]
    return BINS
