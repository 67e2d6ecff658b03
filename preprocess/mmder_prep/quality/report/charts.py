"""Histograms of one measure each, as SVG that is equal for equal numbers."""

from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmder_prep.quality.report.measures import Measure, beyond

BLUE, RED, GREY = "#4a7ba6", "#b5482f", "#666666"
BINS = 24
LOOK: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmder",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8,
}
NO_METADATA: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
"""What a page of equal bytes must not hold: the day, and the version here."""


def histogram(measure: Measure, values: Float64[np.ndarray, " clip"]) -> str:
    """Draw how many clips have which value; those beyond the limit are red.

    Args:
        measure: Which one.
        values: One a clip, NaN where unknown; others than finite ones are not drawn.
    """
    known = values[np.isfinite(values)]
    odd = known[beyond(measure, known)]
    bins = _bins(known)
    edges = np.histogram_bin_edges(known, bins=bins)
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(3.3, 1.75), layout="constrained")
        axes = figure.subplots()
        axes.hist(known, bins=list(edges), color=BLUE)
        if len(odd):
            axes.hist(odd, bins=list(edges), color=RED)
            # A single clip among thousands is too flat a bar to be seen.
            places = edges[np.unique(np.searchsorted(edges, odd, side="right") - 1)]
            axes.plot(
                np.minimum(places + np.diff(edges)[0] / 2, edges[-1]),
                np.zeros(len(places)),
                linestyle="none",
                marker="^",
                markersize=4,
                color=RED,
                clip_on=False,
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel(_label(measure), color=GREY)
        axes.set_ylabel("clips", color=GREY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=isinstance(bins, list)))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(colors=GREY, length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#bbbbbb")
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=NO_METADATA)
    # The document type before it names an address.
    return text.getvalue()[text.getvalue().index("<svg") :]


def _label(measure: Measure) -> str:
    return f"{measure.name}, {measure.unit}" if measure.unit else measure.name


def _bins(known: Float64[np.ndarray, " clip"]) -> int | list[float]:
    """Give one bin a whole number where all are whole and few."""
    low, high = float(known.min()), float(known.max())
    if high - low <= BINS and (known == np.rint(known)).all():
        return [float(edge) for edge in np.arange(low - 0.5, high + 1)]
    return BINS
