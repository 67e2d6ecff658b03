"""Targets of pre-training: normalized pixels of hidden tokens, and their errors.

Pure functions on tensors. The pixels of a token are ordered by color, frame, row and
column.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmder_train.fusion.types import Input
from mmder_train.models.videomae import TUBELET
from mmder_train.pretraining.masking import AUDIO, KINDS, VIDEO, Kind

TargetName = Literal["pixels", "motion"]
COLORS, FRAMES = 3, TUBELET[0]
EPSILON = 1e-6
"""Added to the standard deviation of a token's pixels, as in VideoMAE."""
FLAT_STD = 1e-5
"""Standard deviation below which all pixels of a token count as equal.

It is a tenth of the smallest one that 8-bit colors have. Below it, only rounding errors
would be enlarged."""

Pixels = Float[Tensor, "clip token pixel"]
TokenIndex = Int64[Tensor, "clip token"]


def token_pixels(x: Input, tokens: TokenIndex, *, patch_px: int) -> Pixels:
    """Return the pixels of some tokens of each clip.

    Args:
        x: Inputs of the encoder.
        tokens: Numbers of the tokens of each clip.
        patch_px: Height and width of a patch.
    """
    clips, colors, frames, height, width = x.shape
    rows, columns = height // patch_px, width // patch_px
    grid = x.reshape(
        *(clips, colors, frames // FRAMES, FRAMES, rows, patch_px, columns, patch_px)
    ).permute(0, 2, 4, 6, 1, 3, 5, 7)
    position = torch.unravel_index(tokens, grid.shape[1:4])
    clip = torch.arange(clips, device=x.device)[:, None]
    return grid[(clip, *position)].flatten(2)


def normalize_pixels(pixels: Pixels) -> Pixels:
    """Normalize the pixels of each token, separately for each color.

    The mean is subtracted, and the difference is divided by the unbiased standard
    deviation (VideoMAE, arXiv 2203.12602). A token of one color becomes zero.
    """
    colors = pixels.view(*pixels.shape[:2], COLORS, -1)
    variance, mean = torch.var_mean(colors, dim=3, keepdim=True)
    std = variance.sqrt()
    scale = torch.where(std > FLAT_STD, 1 / (std + EPSILON), 0)
    # In place, because a temporary copy of all pixels takes as long as the rest.
    return (colors - mean).mul_(scale).flatten(2)


def to_motion(
    pixels: Pixels, kinds: Int64[Tensor, "clip token 2"], *, first_sign: float = -1.0
) -> Pixels:
    """Subtract the first frame of each face from its second frame.

    This is the target of MAE-DFER (ACM MM 2023), which it applies to normalized pixels.
    Tokens that show audio are unchanged.

    Args:
        pixels: Normalized pixels.
        kinds: Kind that each token shows in each frame.
        first_sign: -1 to subtract the first frame; 1 to undo that.
    """
    frames = pixels.view(*pixels.shape[:2], COLORS, FRAMES, -1)
    face = (kinds == VIDEO).all(2)[:, :, None, None]
    first, second = frames.unbind(3)
    moved = torch.where(face, second + first_sign * first, second)
    return torch.stack((first, moved), dim=3).flatten(2)


def make_targets(
    x: Input,
    tokens: TokenIndex,
    kinds: Int64[Tensor, "clip token 2"],
    *,
    patch_px: int,
    target: TargetName,
) -> Pixels:
    """Return the values that are predicted for some tokens of each clip.

    Args:
        x: Inputs of the encoder.
        tokens: Numbers of the tokens of each clip.
        kinds: Kind that each of these tokens shows in each frame.
        patch_px: Height and width of a patch.
        target: Normalized pixels, or the motion of faces.
    """
    pixels = normalize_pixels(token_pixels(x, tokens, patch_px=patch_px))
    return to_motion(pixels, kinds) if target == "motion" else pixels


def frame_errors(predicted: Pixels, target: Pixels) -> Float[Tensor, "clip token 2"]:
    """Return the mean squared error of each frame of each token."""
    errors = (predicted - target).square()
    return errors.view(*errors.shape[:2], COLORS, FRAMES, -1).mean((2, 4))


def kind_sums(
    errors: Float[Tensor, "clip token 2"], kinds: Int64[Tensor, "clip token 2"]
) -> Float[Tensor, "clip 2 2"]:
    """Return the sum and the number of the errors of each clip, per modality.

    A position that shows the sum of both modalities belongs to neither.

    Returns:
        Sums and numbers (last axis) of video and audio (second axis).
    """
    sums = []
    for kind in (VIDEO, AUDIO):
        shown = (kinds == kind).to(errors)
        pair = (errors * shown).sum((1, 2)), shown.sum((1, 2))
        sums.append(torch.stack(pair, dim=1))
    return torch.stack(sums, dim=1)


def kind_losses(sums: Float[Tensor, "2 2"], *, prefix: str = "") -> dict[str, float]:
    """Return the mean error of each modality that occurs, by its name in a log."""
    losses: dict[str, float] = {}
    kinds: tuple[Kind, Kind] = KINDS
    for kind, (total, number) in zip(kinds, sums.tolist(), strict=True):
        if number:
            losses[f"{prefix}loss_{kind}"] = total / number
    return losses
