"""Colors that can be told apart, and files that are reproducible."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmder_train.runtime import figure_style

Array = np.ndarray[Any, Any]
SIMULATIONS = {
    # Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color: str) -> Array:
    """Return a color of sRGB as linear RGB."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    """Return linear RGB as CIE L*a*b*."""
    xyz = TO_XYZ @ rgb.clip(0, 1) / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", SIMULATIONS)
def test_colors_differ_with_any_kind_of_color_blindness(kind: str) -> None:
    """A difference of 2.3 is just noticeable."""
    seen = [lab(SIMULATIONS[kind] @ linear(color)) for color in figure_style.COLORS]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15


@pytest.mark.parametrize("image_format", figure_style.IMAGE_FORMATS)
def test_equal_figures_have_equal_bytes(
    tmp_path: Path, image_format: figure_style.ImageFormat
) -> None:
    written = []
    for name in "ab":
        with figure_style.paper_style():
            figure = figure_style.new_figure(1, 1)
            figure.subplots().plot([1, 2], label="line")
            figure_style.save_figure(
                figure, tmp_path / name, image_format=image_format, title="$T"
            )
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert b"$T" in written[0]
