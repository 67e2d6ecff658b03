"""One style for all figures: sizes, fonts, colors and file formats of a paper.

Figures of one column are 3.3 inches wide, the column of most conference formats, with
text of 7 points. The colors are those of Okabe and Ito (2008), which differ for readers
with any kind of color blindness. Lines also differ in their dashes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "svg", "pdf"]
IMAGE_FORMATS: tuple[ImageFormat, ...] = ("png", "svg", "pdf")
"""Formats of a figure: one to look at, and two for papers."""
COLUMN_IN = 3.3
"""Width of a column, in inches."""
PAGE_IN = 6.9
"""Width of a page of two columns, in inches."""
FONT_PT = 7.0
"""Size of all text, in points."""
PNG_DPI = 300
"""Pixels per inch of a PNG."""
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#000000", "#5c5c5c"),
)
"""Okabe and Ito's colors, blue first. Dark gray replaces yellow, which is hard to see
on white paper."""
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)))
"""Dashes of lines; the next one after all colors but two."""
GRAY = "#6e6e6e"
"""Color of chance, of grids and of remarks."""
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_PT,
    "figure.titlesize": FONT_PT,
    "axes.titlesize": FONT_PT,
    "axes.labelsize": FONT_PT,
    "xtick.labelsize": FONT_PT,
    "ytick.labelsize": FONT_PT,
    "legend.fontsize": FONT_PT,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.0,
    "grid.linewidth": 0.5,
    "grid.color": "#d9d9d9",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "mmder",
}
"""Settings of matplotlib. Fonts are embedded in a PDF as TrueType, which publishers
ask for."""


@contextmanager
def paper_style() -> Iterator[None]:
    """Apply the style to the figures that are drawn and saved inside."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def new_figure(width_in: float, height_in: float) -> "Figure":
    """Return an empty figure without a window. Its layout leaves room for all text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(
    figure: "Figure",
    path: Path,
    *,
    image_format: ImageFormat,
    title: str,
    description: str = "",
    png_dpi: int = PNG_DPI,
) -> None:
    """Write a figure. Equal figures yield equal bytes.

    Args:
        figure: Figure to write.
        path: File to write.
        image_format: Format of the file.
        title: Title, kept in the metadata.
        description: Content of the figure, kept in the metadata.
        png_dpi: Pixels per inch of a PNG.
    """
    subject = "Subject" if image_format == "pdf" else "Description"
    metadata: dict[str, str | None] = {"Title": title, subject: description}
    if image_format == "svg":
        metadata |= {"Date": None}
    elif image_format == "pdf":
        metadata |= {"CreationDate": None}
    figure.savefig(path, format=image_format, dpi=png_dpi, metadata=metadata)


def plain(text: str) -> str:
    """Return a text in which no dollar sign starts a formula."""
    return text.replace("$", r"\$")


def line_style(index: int) -> dict[str, Any]:
    """Return the color and the dashes of the line of a class or of a strategy."""
    return {
        "color": COLORS[index % len(COLORS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def score_axis(axes: "Axes", label: str) -> None:
    """Set a vertical axis to percent, with a grid."""
    axes.set_ylim(0, 100)
    axes.set_ylabel(label)
    axes.grid(axis="y")
