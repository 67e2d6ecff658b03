"""Draw occlusion maps over the encoder's input, one PNG per clip.

Red marks what raises the probability of the predicted emotion, blue what lowers it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.fusion.fuse import frame_permutations
from mmder_train.inference.occlusion import (
    BLOCKS,
    Kind,
    OcclusionMap,
    compute_occlusion_map,
)
from mmder_train.inference.predictor import arrays_to_batch
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.trained_run import TrainedRun
from mmder_train.runtime.device import ENCODE_BATCH_SIZE

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MIN_IMPORTANCE = 0.001
"""Minimum of half the color bar's range, so that rounding errors are not amplified."""
MAX_OPACITY = 0.7
"""Opacity of the strongest color over the image."""
SIDE_IN, GAP = 1.1, 0.05
"""Side of one image in inches, and the gap between two as a fraction of it."""
ABOVE_IN, BELOW_IN, LEFT_IN, RIGHT_IN = 1.15, 0.12, 0.4, 1.1
"""Margins around the images in inches: titles, none, row names, color bar."""
NAME_CHARS = 100
"""Maximum length of the readable part of a file name."""
TITLE_CHARS = 60
"""Maximum length of the clip id in the title."""


def create_image_dir(folder: Path) -> Path:
    """Create the folder for images, and return it.

    Raises:
        SettingsError: If the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"--explain {folder}: is a file; expected a folder for images"
        raise SettingsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw_explanation(
    clip: PreparedClip, trained_run: TrainedRun, *, folder: Path, detail: str
) -> str:
    """Compute the occlusion map of a clip, draw it, and return a summary line.

    Args:
        clip: Preprocessed clip with its arrays, of a status that the strategy accepts.
        trained_run: Models; the mean of their probabilities is measured.
        folder: Folder of the PNG, which is named after the clip.
        detail: Block size, a key of `occlusion.BLOCKS`.
    """
    occlusion_map = compute_occlusion_map(
        arrays_to_batch([clip], trained_run),
        frame_permutations([clip.clip_id], seed=trained_run.seed),
        trained_run.predict_probabilities,
        strategy=trained_run.strategy,
        settings=trained_run.render_settings,
        block=BLOCKS[detail],
        batch=ENCODE_BATCH_SIZE[trained_run.device.type],
    )
    classes = trained_run.classes
    line = (
        f"{clip.clip_id}: {_prediction_text(occlusion_map, classes)}; "
        f"{_effect_text(occlusion_map, classes)}"
    )
    with atomic_write(folder / f"{file_name(clip.clip_id)}.png") as draft:
        figure = _figure(clip, trained_run, occlusion_map)
        figure.savefig(draft, format="png", dpi=110)
    return line


def file_name(clip_id: str) -> str:
    """Return a unique and portable file name for a clip id, without suffix."""
    plain = re.sub(r"[^\w.-]+", "_", clip_id, flags=re.ASCII).lstrip(".")
    if plain == clip_id and len(plain) <= NAME_CHARS:
        return plain
    return f"{plain[:NAME_CHARS]}-{digest(clip_id)[:8]}"


def _prediction_text(occlusion_map: OcclusionMap, classes: Sequence[str]) -> str:
    best = occlusion_map.best
    return f"{classes[best]} {occlusion_map.probability[best]:.1%}"


def _effect_text(occlusion_map: OcclusionMap, classes: Sequence[str]) -> str:
    """Return how much of the effect comes from the video and from the audio."""
    emotion = classes[occlusion_map.best]
    if len(occlusion_map.contribution) == 1:
        ((kind, p),) = occlusion_map.ablated.items()
        return f"{emotion} {p:.1%} with all {kind} hidden"
    fractions = ", ".join(
        f"{kind} {fraction:.0%}"
        for kind, fraction in occlusion_map.contribution.items()
    )
    ablated = ", ".join(
        f"{p:.1%} without {kind}" for kind, p in occlusion_map.ablated.items()
    )
    return f"effect: {fractions}; {emotion} {ablated}"


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
    count = len(occlusion_map.input_image)
    across, down = (SIDE_IN * (n + GAP * (n - 1)) for n in (count, 1 + len(rows)))
    width, height = LEFT_IN + across + RIGHT_IN, ABOVE_IN + down + BELOW_IN
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        *(1 + len(rows), count),
        squeeze=False,
        gridspec_kw={
            "left": LEFT_IN / width,
            "right": 1 - RIGHT_IN / width,
            "top": 1 - ABOVE_IN / height,
            "bottom": BELOW_IN / height,
            "wspace": GAP,
            "hspace": GAP,
        },
    )
    labels = _frame_labels(clip, trained_run, occlusion_map)
    colormap = colormaps["RdBu_r"]
    for column in range(count):
        image = occlusion_map.input_image[column].numpy()
        axes[0, column].imshow(image)
        axes[0, column].set_title(labels[column], fontsize=8, pad=3)
        for row, (_, drop) in enumerate(rows, start=1):
            axes[row, column].imshow(_overlay(image, drop[column], limit, colormap))
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    axes[0, 0].set_ylabel("input", fontsize=9)
    for row, (name, _) in enumerate(rows, start=1):
        axes[row, 0].set_ylabel(name, fontsize=9)
    _write_titles(figure, clip, trained_run, occlusion_map)
    bar = figure.colorbar(
        ScalarMappable(norm=Normalize(-100 * limit, 100 * limit), cmap=colormap),
        cax=figure.add_axes(
            (1 - 0.9 * RIGHT_IN / width, BELOW_IN / height, 0.12 / width, down / height)
        ),
    )
    bar.set_label(
        f"drop of {trained_run.classes[occlusion_map.best]} if this block\n"
        "is hidden, percentage points",
        fontsize=8,
    )
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _write_titles(
    figure: "Figure",
    clip: PreparedClip,
    trained_run: TrainedRun,
    occlusion_map: OcclusionMap,
) -> None:
    classes = trained_run.classes
    order = np.argsort(occlusion_map.probability)[::-1][1:4]
    others = ", ".join(
        f"{classes[i]} {occlusion_map.probability[i]:.1%}" for i in order.tolist()
    )
    name = clip.clip_id
    name = name if len(name) <= TITLE_CHARS else f"...{name[-TITLE_CHARS:]}"
    models = f"{trained_run.strategy.name}, {trained_run.folds_text()}"
    lines = (
        (f"{name}: {_prediction_text(occlusion_map, classes)}", 13, "bold"),
        (f"then {others}   |   {models}", 10, "normal"),
        (_effect_text(occlusion_map, classes), 10, "normal"),
    )
    height = figure.get_figheight()
    for number, (text, size, weight) in enumerate(lines):
        figure.text(
            LEFT_IN / figure.get_figwidth(),
            1 - (0.12 + 0.25 * number) / height,
            # matplotlib would read a dollar sign in a name as the start of a formula.
            text.replace("$", r"\$"),
            fontsize=size,
            fontweight=weight,
            va="top",
        )


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
