"""Draw occlusion maps over the encoder's input: a PNG, an SVG and a PDF per clip.

Red marks what raises the probability of the predicted emotion, blue what lowers it.
"""

import math
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.fusion.fuse import frame_permutations
from mmder_train.fusion.types import Modality
from mmder_train.inference.explain_text import (
    agreement_text,
    effect_text,
    layout_text,
    prediction_text,
)
from mmder_train.inference.occlusion import (
    BLOCKS,
    Kind,
    OcclusionMap,
    compute_occlusion_map,
)
from mmder_train.inference.predictor import arrays_to_batch
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.trained_run import TrainedRun
from mmder_train.runtime import figure_style
from mmder_train.runtime.device import ENCODE_BATCH_SIZE

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MIN_IMPORTANCE = 0.001
"""Minimum of half the color bar's range, so that rounding errors are not amplified."""
MAX_OPACITY = 0.7
"""Opacity of the strongest color over the image."""
COLUMNS = 8
"""Number of frames per row, so that labels stay readable on a page."""
SIDE_IN, GAP_IN = 1.15, 0.05
"""Side of one image, and the gap between two, in inches."""
LABEL_PT = 9.5
"""Font size of labels."""
LABELS_IN, LEFT_IN, RIGHT_IN = 0.4, 0.35, 1.1
"""Space for the labels above the images, the row names, and the color bar."""
PNG_DPI = 110
"""Pixels per inch of the PNG."""
LINE_IN, LINE_CHARS = 0.25, 125
"""Height and maximum length of a line of text."""
NAME_CHARS = 100
"""Maximum length of the readable part of a file name."""
TITLE_CHARS = 60
"""Maximum length of the clip id in the title."""


def create_image_dir(folder: Path, *, option: str = "--explain") -> Path:
    """Create the folder for images, and return it.

    Args:
        folder: The folder.
        option: Option that names it, for the message.

    Raises:
        SettingsError: If the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{option} {folder}: is a file; expected a folder for images"
        raise SettingsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw_explanation(
    clip: PreparedClip,
    trained_run: TrainedRun,
    *,
    folder: Path,
    detail: str,
    missing: Modality | None = None,
) -> str:
    """Compute the occlusion map of a clip, draw it, and return a summary line.

    Args:
        clip: Preprocessed clip with its arrays.
        trained_run: Models; the mean of their probabilities is measured.
        folder: Folder of the images, which are named after the clip.
        detail: Block size, a key of `occlusion.BLOCKS`.
        missing: Modality that the clip lacks and was predicted without.
    """
    absent = {"video": "frames", "audio": "audio"}.get(missing or "")
    arrays = arrays_to_batch([clip], trained_run)
    occlusion_map = compute_occlusion_map(
        {name: tensor for name, tensor in arrays.items() if name != absent},
        frame_permutations([clip.clip_id], seed=trained_run.seed),
        trained_run.predict_each,
        strategy=trained_run.strategy,
        settings=trained_run.render_settings,
        block=BLOCKS[detail],
        batch=ENCODE_BATCH_SIZE[trained_run.device.type],
    )
    classes = trained_run.classes
    texts = (
        prediction_text(occlusion_map, classes),
        effect_text(occlusion_map, classes),
        agreement_text(occlusion_map, classes),
    )
    line = f"{clip.clip_id}: {'; '.join(filter(None, texts))}"
    figure = _figure(clip, trained_run, occlusion_map)
    for image_format in figure_style.IMAGE_FORMATS:
        path = folder / f"{file_name(clip.clip_id)}.{image_format}"
        with atomic_write(path) as draft, figure_style.paper_style():
            figure_style.save_figure(
                figure,
                draft,
                image_format=image_format,
                title=f"Occlusion map of {clip.clip_id}",
                description=line,
                png_dpi=PNG_DPI,
            )
    return line


def file_name(clip_id: str) -> str:
    """Return a unique and portable file name for a clip id, without suffix."""
    plain = re.sub(r"[^\w.-]+", "_", clip_id, flags=re.ASCII).lstrip(".")
    if plain == clip_id and len(plain) <= NAME_CHARS:
        return plain
    return f"{plain[:NAME_CHARS]}-{digest(clip_id)[:8]}"


def _figure(
    clip: PreparedClip, trained_run: TrainedRun, occlusion_map: OcclusionMap
) -> "Figure":
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    limit = max(
        MIN_IMPORTANCE,
        *(float(m.nan_to_num().abs().max()) for m in occlusion_map.importance.values()),
    )
    rows = _rows(occlusion_map)
    lines = _title_lines(clip, trained_run, occlusion_map)
    grid = _Grid(len(occlusion_map.input_image), 1 + len(rows), len(lines))
    figure = Figure(figsize=(grid.width_in, grid.height_in))
    FigureCanvasAgg(figure)
    labels = _frame_labels(clip, trained_run, occlusion_map)
    colormap = colormaps["RdBu_r"]
    for number, label in enumerate(labels):
        image = occlusion_map.input_image[number].numpy()
        overlays = [_overlay(image, drop[number], limit, colormap) for _, drop in rows]
        names = ["input", *(name for name, _ in rows)]
        for row, (name, drawn) in enumerate(
            zip(names, [image, *overlays], strict=True)
        ):
            axis = figure.add_axes(grid.rectangle(number, row))
            axis.imshow(drawn)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(label, fontsize=LABEL_PT, pad=3)
            if number % COLUMNS == 0:
                axis.set_ylabel(name, fontsize=LABEL_PT)
    for number, (text, size, weight) in enumerate(lines):
        figure.text(
            0.12 / grid.width_in,
            1 - (0.12 + LINE_IN * number) / grid.height_in,
            # matplotlib would read a dollar sign in a name as the start of a formula.
            text.replace("$", r"\$"),
            fontsize=size,
            fontweight=weight,
            va="top",
        )
    bar = figure.colorbar(
        ScalarMappable(norm=Normalize(-100 * limit, 100 * limit), cmap=colormap),
        cax=figure.add_axes(grid.color_bar()),
    )
    bar.set_label(
        f"drop of {trained_run.classes[occlusion_map.best]} if this block is hidden, "
        "percentage points",
        fontsize=LABEL_PT,
    )
    bar.ax.tick_params(labelsize=LABEL_PT)
    bar.outline.set_visible(False)
    return figure


class _Grid:
    """Positions in the figure: lines of text, then frames in rows of `COLUMNS`."""

    def __init__(self, frames: int, rows: int, lines: int) -> None:
        self.top_in = 0.2 + LINE_IN * lines
        self.part_in = LABELS_IN + rows * (SIDE_IN + GAP_IN) + 0.1
        self.rows_in = self.part_in * math.ceil(frames / COLUMNS)
        self.width_in = LEFT_IN + COLUMNS * (SIDE_IN + GAP_IN) + RIGHT_IN
        self.height_in = self.top_in + self.rows_in

    def rectangle(self, frame: int, row: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of an image, relative to the figure."""
        part, column = divmod(frame, COLUMNS)
        below_in = self.top_in + part * self.part_in + LABELS_IN
        below_in += row * (SIDE_IN + GAP_IN) + SIDE_IN
        return (
            (LEFT_IN + column * (SIDE_IN + GAP_IN)) / self.width_in,
            1 - below_in / self.height_in,
            SIDE_IN / self.width_in,
            SIDE_IN / self.height_in,
        )

    def color_bar(self) -> tuple[float, float, float, float]:
        """Return the rectangle of the color bar, right of the images."""
        return (
            1 - 0.85 * RIGHT_IN / self.width_in,
            0.1 / self.height_in,
            0.15 / self.width_in,
            (self.rows_in - LABELS_IN - 0.1) / self.height_in,
        )


def _title_lines(
    clip: PreparedClip, trained_run: TrainedRun, occlusion_map: OcclusionMap
) -> list[tuple[str, float, str]]:
    """Return the lines of text above the images, with their size and weight."""
    classes = trained_run.classes
    order = np.argsort(occlusion_map.probability)[::-1][1:4]
    others = ", ".join(
        f"{classes[i]} {occlusion_map.probability[i]:.1%}" for i in order.tolist()
    )
    name = clip.clip_id
    name = name if len(name) <= TITLE_CHARS else f"...{name[-TITLE_CHARS:]}"
    texts = (
        f"then {others}   |   {trained_run.strategy.name}, {trained_run.folds_text()}",
        effect_text(occlusion_map, classes),
        agreement_text(occlusion_map, classes),
        trained_run.quality.warning() or trained_run.quality.scores_text(),
        layout_text(trained_run.strategy),
    )
    wrapped = [line for text in texts for line in textwrap.wrap(text, LINE_CHARS)]
    title = f"{name}: {prediction_text(occlusion_map, classes)}"
    return [(title, 13, "bold"), *((line, 10.5, "normal") for line in wrapped)]


def _rows(
    occlusion_map: OcclusionMap,
) -> list[tuple[str, Float[np.ndarray, "frame height width"]]]:
    """Return the names and maps to draw, as few as show everything.

    A single map is enough if no position shows both video and audio.
    """
    maps = {kind: drop.numpy() for kind, drop in occlusion_map.importance.items()}
    stacked = np.stack(list(maps.values()))
    if (np.isfinite(stacked).sum(0) <= 1).all():
        return [("hidden", np.nansum(stacked, axis=0))]
    return [(f"{kind} hidden", drop) for kind, drop in maps.items()]


def _overlay(
    image: UInt8[np.ndarray, "height width 3"],
    drop: Float[np.ndarray, "height width"],
    limit: float,
    colormap: "Colormap",
) -> Float[np.ndarray, "height width 3"]:
    """Draw a map over a gray copy of an image, with more opacity at larger values."""
    gray = (image.astype(float) @ (0.299, 0.587, 0.114) / 255)[..., None]
    relative = np.nan_to_num(drop) / limit
    opacity = MAX_OPACITY * np.sqrt(np.abs(relative))[..., None]
    colors = np.asarray(colormap((1 + relative) / 2))[..., :3]
    return np.asarray(gray * (1 - opacity) + colors * opacity)


def _frame_labels(
    clip: PreparedClip, trained_run: TrainedRun, occlusion_map: OcclusionMap
) -> list[str]:
    """Return the source and the time of each input frame."""
    strategy = trained_run.strategy
    labels: dict[Kind, list[str]] = {}
    if "video" in occlusion_map.source_frame:
        step = 16 // strategy.frames
        times_s = clip.arrays["frame_time_s"][::step]
        labels["video"] = [f"frame {t:.2f} s" for t in times_s]
    if "audio" in occlusion_map.source_frame:
        bounds_s = clip.arrays[f"window_{strategy.windows}_s"]
        labels["audio"] = [f"audio {a:.1f}-{b:.1f} s" for a, b in bounds_s]
    sources = {kind: occlusion_map.source_frame[kind].tolist() for kind in labels}
    return [
        "\n".join(labels[k][sources[k][i]] for k in labels if sources[k][i] >= 0)
        for i in range(len(occlusion_map.input_image))
    ]
