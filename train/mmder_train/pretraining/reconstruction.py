"""Picture of a reconstruction: the input, its visible part, and the prediction.

The targets are normalized per token, so a prediction has no mean and no standard
deviation of its own. Pictures of VideoMAE take both from the hidden pixels, which makes
them look far better than the prediction is. Here they are the medians over the visible
tokens of the same modality. The hidden pixels are not used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmder_store.atomic_files import atomic_write
from mmder_train.fusion.rendering import ImageNorm
from mmder_train.fusion.types import NUM_FRAMES, SIDE_PX
from mmder_train.pretraining.batches import MaskedBatch
from mmder_train.pretraining.masking import TIMES, grid_size
from mmder_train.pretraining.model import MaskedAutoencoder
from mmder_train.pretraining.targets import (
    COLORS,
    FRAMES,
    TargetName,
    to_motion,
    token_pixels,
)
from mmder_train.runtime.device import mixed_precision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRAY = 0.5
"""Color of hidden tokens."""
SIDE_IN, LEFT_IN, ABOVE_IN = 0.9, 0.95, 0.35
"""Side of one image, and the margins for row names and the title, in inches."""
GAP_PX = 8
"""Gap between two images."""
ROWS = ("input", "visible", "reconstructed")
TITLE = (
    "Hidden tokens are scaled with the median mean and standard deviation of the "
    "visible tokens of their modality, not with their own."
)

Frames = UInt8[Tensor, "frame height width 3"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reconstruction:
    """Frames of one clip, in RGB colors."""

    input: Frames
    """Frames of the input."""
    visible: Frames
    """Frames of the input with hidden tokens in gray."""
    reconstructed: Frames
    """Visible tokens of the input and predicted hidden tokens."""


@torch.inference_mode()
def reconstruct(
    model: MaskedAutoencoder,
    batch: MaskedBatch,
    all_kinds: Int64[Tensor, "clip token 2"],
    *,
    target: TargetName,
    image_norm: ImageNorm,
) -> Reconstruction:
    """Predict the hidden tokens of the first clip of a batch.

    Args:
        model: The autoencoder.
        batch: Clips with their masks.
        all_kinds: Kind that each token shows in each frame.
        target: Values that the autoencoder predicts.
        image_norm: Normalization of the input.
    """
    model.eval()
    one = slice(0, 1)
    with mixed_precision(batch.x.device):
        predicted = model(batch.x[one], batch.visible[one], batch.hidden[one])
    predicted = predicted.float()
    if target == "motion":
        predicted = to_motion(predicted, batch.kinds[one], first_sign=1.0)
    side = model.patch_px
    tokens = torch.arange(TIMES * grid_size(side) ** 2, device=batch.x.device)[None]
    pixels = token_pixels(batch.x[one], tokens, patch_px=side)
    visible = batch.visible[0]
    filled, masked = pixels.clone(), pixels.clone()
    filled[:, batch.hidden[0]] = rescale(
        predicted,
        batch.kinds[one],
        pixels[:, visible],
        all_kinds[one][:, visible],
    )
    masked[:, batch.hidden[0]] = torch.nan
    return Reconstruction(
        input=_to_frames(pixels, side, image_norm),
        visible=_to_frames(masked, side, image_norm),
        reconstructed=_to_frames(filled, side, image_norm),
    )


def rescale(
    predicted: Float[Tensor, "1 hidden pixel"],
    hidden_kinds: Int64[Tensor, "1 hidden 2"],
    visible: Float[Tensor, "1 visible pixel"],
    visible_kinds: Int64[Tensor, "1 visible 2"],
) -> Float[Tensor, "1 hidden pixel"]:
    """Scale normalized predictions to pixels, without any hidden pixel.

    Mean and standard deviation of each color are the medians over the visible tokens of
    the same kinds. If there are none, they are the medians over all visible tokens.

    Args:
        predicted: Predicted normalized pixels.
        hidden_kinds: Kinds that the predicted tokens show.
        visible: Pixels of the visible tokens.
        visible_kinds: Kinds that the visible tokens show.
    """
    colors = visible.view(1, visible.shape[1], COLORS, -1)
    std, mean = torch.std_mean(colors, dim=3)
    out = torch.empty_like(predicted)
    for kinds in torch.unique(hidden_kinds[0], dim=0):
        same = (visible_kinds[0] == kinds).all(1)
        known = same if same.any() else torch.ones_like(same)
        at = (hidden_kinds[0] == kinds).all(1)
        scale, shift = (t[0, known].median(0).values[:, None] for t in (std, mean))
        values = predicted[0, at].view(int(at.sum()), COLORS, -1) * scale + shift
        out[0, at] = values.flatten(1)
    return out


def draw(reconstruction: Reconstruction, path: Path, *, clip_id: str) -> None:
    """Draw a reconstruction as a PNG image.

    Args:
        reconstruction: Frames to draw.
        path: File to write.
        clip_id: Name of the clip, for the title.
    """
    figure = _figure(reconstruction, clip_id)
    with atomic_write(path) as draft:
        figure.savefig(draft, format="png", dpi=110)


def _to_frames(
    pixels: Float[Tensor, "1 token pixel"], side: int, norm: ImageNorm
) -> Frames:
    """Put tokens back into frames, in colors. NaN becomes gray."""
    grid = grid_size(side)
    shape = (TIMES, grid, grid, COLORS, FRAMES, side, side)
    video = pixels[0].view(shape).permute(0, 4, 1, 5, 2, 6, 3)
    video = video.reshape(NUM_FRAMES, SIDE_PX, SIDE_PX, COLORS)
    std, mean = (torch.tensor(t).to(video) for t in (norm.std_rgb, norm.mean_rgb))
    colors = (video * std + mean).nan_to_num(nan=GRAY).clamp(0, 1)
    return colors.mul(255).round().byte().cpu()


def _figure(reconstruction: Reconstruction, clip_id: str) -> "Figure":
    """Draw all frames in one image: a panel per frame is ten times as slow."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = (
        reconstruction.input,
        reconstruction.visible,
        reconstruction.reconstructed,
    )
    cell = SIDE_PX + GAP_PX
    canvas = np.full((cell * len(rows), cell * NUM_FRAMES, 3), 255, dtype=np.uint8)
    for row, frames in enumerate(rows):
        for column, frame in enumerate(frames.numpy()):
            top, left = cell * row, cell * column
            canvas[top : top + SIDE_PX, left : left + SIDE_PX] = frame
    height = SIDE_IN * len(rows) + ABOVE_IN
    figure = Figure(figsize=(LEFT_IN + SIDE_IN * NUM_FRAMES, height))
    FigureCanvasAgg(figure)
    axis = figure.add_axes(
        (
            LEFT_IN / figure.get_figwidth(),
            0,
            1 - LEFT_IN / figure.get_figwidth(),
            1 - ABOVE_IN / height,
        )
    )
    axis.imshow(canvas, aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([cell * (row + 0.5) for row in range(len(rows))], ROWS)
    axis.tick_params(length=0, labelsize=9)
    axis.spines[:].set_visible(False)
    # matplotlib would read a dollar sign in a name as the start of a formula.
    title = f"{clip_id[-60:]}. {TITLE}".replace("$", r"\$")
    figure.suptitle(title, fontsize=9)
    return figure
