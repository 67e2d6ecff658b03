"""Draw the figures of the documentation from a store of the synthetic corpus.

Every encoder input that is shown is the output of `fuse`, so the figures cannot differ
from what is trained. They are written as SVG and show synthetic faces only: a store of
real people is refused.

Run it through `make figures` (the documentation) or `make demo` (one figure).
"""

import argparse
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmder_store import Store, open_store
from mmder_store.atomic_files import atomic_write
from mmder_train.data.stored_arrays import load_arrays
from mmder_train.fusion import (
    IMAGE_NORMS,
    STRATEGIES,
    RenderSettings,
    frame_permutations,
    fuse,
)

Images = NDArray[np.uint8]

ASSETS = Path(__file__).parent / "assets"
EMOTION = "happy"
PAPER_STRATEGIES = ("cfas", "sfas", "ffls", "fslf", "ofos", "rfas")
TITLES = {
    "cfas": "face above its spectrogram",
    "sfas": "face plus spectrogram",
    "ffls": "8 faces, then 8 spectrograms",
    "fslf": "8 spectrograms, then 8 faces",
    "ofos": "face and spectrogram in turn",
    "rfas": "random order, fixed per clip",
}
SPECTROGRAMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "paper": (
        "MFCC, range of each window",
        {"spectrogram": "mfcc", "spectrogram_norm": "window"},
    ),
    "default": ("STFT, fixed range", {}),
    "mel": ("mel bands, fixed range", {"spectrogram": "mel"}),
    "global-mvn": (
        "MFCC, statistics of speech",
        {"spectrogram": "mfcc", "spectrogram_norm": "global-mvn"},
    ),
    "three": (
        "STFT, mel, MFCC as RGB",
        {"spectrogram": "stft-mel-mfcc", "colormap": "gray"},
    ),
}
TILE_PX = 48
INK, MUTED, ACCENT = "#1f2933", "#66727f", "#3f51b5"


def is_synthetic(store: Store, row: int, sample: Path) -> bool:
    """Return whether a clip of a store is a file that `mmder-prep sample` wrote."""
    clip_id = store.columns["clip_id"][row]
    return (sample / "SAMPLE.txt").is_file() and any(
        hashlib.sha256(file.read_bytes()).hexdigest()
        == store.columns["source_sha256"][row]
        for file in sample.rglob(f"{clip_id}.*")
    )


def tile(images: Images) -> Images:
    """Return images of 224 px reduced to small tiles by area averaging."""
    frames = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(
        frames, size=(TILE_PX, TILE_PX), mode="area"
    )
    return small.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy()


def encoder_input(
    store: Store, row: int, name: str, drawn: Mapping[str, Any] | None = None
) -> Images:
    """Return the 16 images that the encoder receives for one clip, 224 px, RGB.

    Args:
        store: The store.
        row: Index of the clip.
        name: Name of the strategy.
        drawn: Settings of spectrograms, as far as they are not the defaults.
    """
    strategy = STRATEGIES[name]
    norm = IMAGE_NORMS["imagenet"]
    settings = RenderSettings(
        image_norm=norm,
        sample_rate_hz=store.spec.settings.sample_rate_hz,
        **(drawn or {}),
    )
    arrays = load_arrays(
        lambda array: store.read_batch(array, [row]),
        strategy=strategy,
        spectrogram=settings.spectrogram,
    )
    order = frame_permutations([str(store.columns["clip_id"][row])], seed=0)
    x = fuse(
        arrays.get("frames"),
        arrays.get("audio"),
        order,
        strategy=strategy,
        settings=settings,
    )[0]
    images = x.permute(1, 2, 3, 0) * torch.tensor(norm.std_rgb) + torch.tensor(
        norm.mean_rgb
    )
    if name == "sfas":  # the sum of two normalized images, shown as their mean
        images = (x.permute(1, 2, 3, 0) / 2) * torch.tensor(
            norm.std_rgb
        ) + torch.tensor(norm.mean_rgb)
    return (images * 255).round().clamp(0, 255).byte().numpy()


def strip(axes: Axes, images: Images) -> None:
    """Draw images side by side."""
    count = len(images)
    for index, image in enumerate(images):
        axes.imshow(image, extent=(index + 0.03, index + 0.97, 0, 0.94), zorder=2)
    axes.set_xlim(0, count)
    axes.set_ylim(-0.03, 0.97)
    axes.set_aspect("equal")
    axes.axis("off")


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty white figure."""
    figure = Figure(figsize=(width_in, height_in), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG; equal figures give equal bytes."""
    with atomic_write(path) as draft:
        figure.savefig(draft, format="svg", dpi=80, metadata={"Date": None})


def draw_strategies(store: Store, row: int) -> Figure:
    """Draw the encoder input of every strategy of the paper."""
    figure = new_figure(11.0, 5.1)
    for index, name in enumerate(PAPER_STRATEGIES):
        bottom = 0.985 - (index + 1) * 0.163
        axes = figure.add_axes((0.215, bottom, 0.775, 0.15))
        strip(axes, tile(encoder_input(store, row, name)))
        equation = STRATEGIES[name].equation
        figure.text(0.012, bottom + 0.093, name, fontsize=15, color=INK, weight="bold")
        figure.text(0.075, bottom + 0.095, f"({equation})", fontsize=10, color=MUTED)
        figure.text(0.012, bottom + 0.045, TITLES[name], fontsize=10, color=INK)
    return figure


def draw_one_strategy(store: Store, row: int, name: str) -> Figure:
    """Draw the encoder input of one strategy."""
    figure = new_figure(8.0, 0.54)
    strip(figure.add_axes((0, 0, 1, 1)), tile(encoder_input(store, row, name)))
    return figure


def draw_spectrograms(store: Store, row: int) -> Figure:
    """Draw the audio of one clip in several ways, the paper's first."""
    figure = new_figure(11.0, 0.9 * len(SPECTROGRAMS))
    height = 1 / len(SPECTROGRAMS)
    for index, (name, (text, drawn)) in enumerate(SPECTROGRAMS.items()):
        bottom = 1 - (index + 1) * height
        axes = figure.add_axes((0.215, bottom, 0.775, 0.94 * height))
        strip(axes, tile(encoder_input(store, row, "audio", drawn)))
        title: dict[str, Any] = {"fontsize": 15, "color": INK, "weight": "bold"}
        figure.text(0.012, bottom + 0.58 * height, name, **title)
        figure.text(0.012, bottom + 0.28 * height, text, fontsize=10, color=INK)
    return figure


def draw_overview(store: Store, row: int) -> Figure:
    """Draw the way from a clip to an emotion."""
    figure = new_figure(11.0, 4.0)
    faces = tile(encoder_input(store, row, "video"))
    spectrograms = tile(encoder_input(store, row, "audio"))
    heading: dict[str, Any] = {"fontsize": 11, "color": INK, "weight": "bold"}
    note: dict[str, Any] = {"fontsize": 9, "color": MUTED}

    figure.text(0.012, 0.92, "1  mmder-prep: decode once, one clock", **heading)
    for bottom, images, text in (
        (0.62, faces, "16 face crops of 224 px at known instants"),
        (0.36, spectrograms, "the audio around each instant, as spectrograms"),
    ):
        for half in range(2):
            axes = figure.add_axes((0.012, bottom + 0.1 - 0.1 * half, 0.345, 0.1))
            strip(axes, images[8 * half : 8 * half + 8])
        figure.text(0.012, bottom + 0.215, text, **note)
    figure.text(0.012, 0.25, "one sharded Zarr store, read by every experiment", **note)

    figure.text(0.41, 0.92, "2  mmder-train: fuse on the fly", **heading)
    for index, name in enumerate(PAPER_STRATEGIES):
        bottom = 0.775 - index * 0.112
        axes = figure.add_axes((0.455, bottom, 0.37, 0.085))
        strip(axes, tile(encoder_input(store, row, name)))
        figure.text(0.41, bottom + 0.028, name, fontsize=10, color=INK)
    figure.text(0.41, 0.125, "six strategies, each 16 frames of 224 px", **note)

    figure.text(0.865, 0.92, "3  VideoMAE", **heading)
    box: dict[str, Any] = {
        "boxstyle": "round,pad=0.5",
        "facecolor": "#eef0fb",
        "edgecolor": ACCENT,
    }
    centered: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10}
    for bottom, text in (
        (0.79, "1,568 tokens of\n2 x 16 x 16 pixels"),
        (0.585, "transformer\nencoder"),
        (0.39, "mean, LayerNorm,\nlinear head"),
    ):
        figure.text(0.92, bottom, text, color=INK, bbox=box, **centered)
    figure.text(
        0.92,
        0.205,
        str(store.columns["emotion"][row]),
        color=ACCENT,
        weight="bold",
        ha="center",
        va="center",
        fontsize=15,
    )
    figure.text(0.92, 0.125, "tested on unseen speakers", ha="center", **note)

    arrow: dict[str, Any] = {
        "arrowprops": {"arrowstyle": "->", "color": MUTED, "linewidth": 1.4}
    }
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.axis("off")
    canvas.set_xlim(0, 1)
    canvas.set_ylim(0, 1)
    canvas.patch.set_alpha(0)
    for start, end in (
        ((0.365, 0.58), (0.4, 0.58)),
        ((0.832, 0.58), (0.86, 0.58)),
        ((0.92, 0.715), (0.92, 0.66)),
        ((0.92, 0.51), (0.92, 0.465)),
        ((0.92, 0.315), (0.92, 0.26)),
    ):
        canvas.annotate("", xy=end, xytext=start, **arrow)
    return figure


def main() -> None:
    """Draw all figures, or only the one of the strategies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="store made of the synthetic corpus")
    parser.add_argument(
        "--sample", type=Path, required=True, help="folder of `mmder-prep sample`"
    )
    parser.add_argument("--strategies", type=Path, help="write only this figure")
    asked = parser.parse_args()
    rcParams["svg.hashsalt"] = "mmder"
    store = open_store(asked.store)
    row = list(store.columns["emotion"]).index(EMOTION)
    if not is_synthetic(store, row, asked.sample):
        parser.error(f"{asked.store}: not made of the clips in {asked.sample}")
    if asked.strategies is not None:
        write_svg(draw_strategies(store, row), asked.strategies)
        return
    write_svg(draw_overview(store, row), ASSETS / "overview.svg")
    write_svg(draw_strategies(store, row), ASSETS / "strategies.svg")
    write_svg(draw_spectrograms(store, row), ASSETS / "spectrograms.svg")
    for name in STRATEGIES:
        figure = draw_one_strategy(store, row, name)
        write_svg(figure, ASSETS / f"strategy-{name}.svg")


if __name__ == "__main__":
    main()
