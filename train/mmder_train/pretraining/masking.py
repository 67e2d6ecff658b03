"""Masks of pre-training: tokens that the encoder sees, per modality and position.

Pure functions. A token is the tubelet of two frames at one patch. Tokens are numbered
in the order frame, row, column. Random numbers come from the seed, the epoch and the
clip id, so the mask of a clip does not depend on the other clips, on the number of
processes or on the steps before.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import (
    MODALITIES,
    NUM_FRAMES,
    SIDE_PX,
    Modality,
    Permutation,
)

Kind = Modality
KINDS = MODALITIES
VIDEO, AUDIO = 1, 2
"""Numbers of the kinds in a map. Their sum marks a position that shows both."""
TIMES = NUM_FRAMES // 2
"""Number of tokens in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskSettings:
    """Fraction of the tokens that are hidden, and the shape of audio masks."""

    video: float = 0.9
    """Hidden fraction of the faces, in tubes (VideoMAE)."""
    audio: float = 0.8
    """Hidden fraction of the spectrograms (Audio-MAE)."""
    audio_shape: Literal["tube", "frequency", "time"] = "tube"
    """Shape of the hidden parts of a spectrogram: tubes, or bands over all of the
    other axis."""

    @property
    def mixed(self) -> float:
        """Hidden fraction of tokens that show both modalities: the mean of both."""
        return (self.video + self.audio) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Tokens of one kind: a box in time, rows and columns."""

    kind: Literal["video", "audio", "mixed"]
    times: range
    rows: range
    columns: range


def grid_size(patch_px: int) -> int:
    """Return the number of tokens in a row, which is also that in a column."""
    return SIDE_PX // patch_px


@cache
def _position_kinds(strategy: Strategy, patch_px: int) -> Int64[Tensor, "16 row"]:
    """Return the kind that each frame shows in each row of patches, before RFAS."""
    x = torch.zeros(1, 3, NUM_FRAMES, SIDE_PX, SIDE_PX)
    for view, kind in zip(strategy.layout(x), (VIDEO, AUDIO), strict=True):
        if view is not None:
            view.add_(kind)
    return x[0, 0, :, ::patch_px, 0].long()


def token_kinds(
    strategy: Strategy, patch_px: int, permutations: Permutation
) -> Int64[Tensor, "clip token 2"]:
    """Return the kind that each token shows in each of its two frames.

    Args:
        strategy: Strategy of the input.
        patch_px: Height and width of a patch.
        permutations: Frame order of each clip. Only RFAS uses it.
    """
    kinds = _position_kinds(strategy, patch_px).to(permutations.device)
    rows = kinds[permutations] if strategy.shuffles_frames else kinds[None]
    pairs = rows.view(len(rows), TIMES, 2, -1).transpose(2, 3)
    columns = grid_size(patch_px)
    tokens = pairs[:, :, :, None].expand(-1, -1, -1, columns, -1).flatten(1, 3)
    return tokens.expand(len(permutations), -1, -1)


@cache
def blocks(strategy: Strategy, patch_px: int) -> tuple[Block, ...]:
    """Return the blocks of tokens that are masked separately.

    A strategy that mixes both modalities within a token has one block.
    """
    kinds = _position_kinds(strategy, patch_px)
    columns = range(grid_size(patch_px))
    whole = Block(
        kind="mixed", times=range(TIMES), rows=range(kinds.shape[1]), columns=columns
    )
    pairs = kinds.view(TIMES, 2, -1)
    uniform = bool((pairs[:, 0] == pairs[:, 1]).all() and (kinds < VIDEO + AUDIO).all())
    if strategy.shuffles_frames or not uniform:
        return (whole,)
    found = []
    for name, kind in zip(KINDS, (VIDEO, AUDIO), strict=True):
        times, rows = np.nonzero((pairs[:, 0] == kind).numpy())
        if len(times):
            found.append(
                Block(
                    kind=name,
                    times=range(int(times.min()), int(times.max()) + 1),
                    rows=range(int(rows.min()), int(rows.max()) + 1),
                    columns=columns,
                )
            )
    return tuple(found)


def is_mixed(strategy: Strategy, patch_px: int) -> bool:
    """Return whether a token of the strategy can show both modalities."""
    return blocks(strategy, patch_px)[0].kind == "mixed"


def draw_hidden_kind(
    strategy: Strategy, *, probability: float, seed: int, epoch: int, step: int
) -> Kind | None:
    """Draw the modality that a step hides as a whole, or None.

    It is the same in all processes. A strategy of one modality hides none.

    Args:
        strategy: Strategy of the input.
        probability: Fraction of the steps that hide a modality.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        step: Number of the step in the epoch, from 0.
    """
    if not (strategy.frames and strategy.windows):
        return None
    rng = _generator(f"{seed}/{epoch}/step {step}")
    return KINDS[int(rng.integers(2))] if rng.random() < probability else None


def draw_visible(
    clip_ids: Sequence[str],
    *,
    strategy: Strategy,
    patch_px: int,
    settings: MaskSettings,
    seed: int,
    epoch: int,
    hidden_kind: Kind | None = None,
) -> Int64[Tensor, "clip visible"]:
    """Draw the visible tokens of each clip, in ascending order.

    All clips have the same number of visible tokens.

    Args:
        clip_ids: Name of each clip.
        strategy: Strategy of the input.
        patch_px: Height and width of a patch.
        settings: Fractions and shapes.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        hidden_kind: Modality that is hidden as a whole. If tokens show both
            modalities, it must be removed from the input instead.
    """
    parts = [b for b in blocks(strategy, patch_px) if b.kind != hidden_kind]
    drawn = []
    for clip_id in clip_ids:
        rng = _generator(f"{seed}/{epoch}/mask {clip_id}")
        visible = [_visible_in(block, settings, rng) for block in parts]
        drawn.append(np.sort(np.concatenate(visible)))
    return torch.from_numpy(np.stack(drawn))


def hidden_tokens(
    visible: Int64[Tensor, "clip visible"], tokens: int
) -> Int64[Tensor, "clip hidden"]:
    """Return the tokens of each clip that are not visible, in ascending order."""
    hidden = torch.ones(
        len(visible), tokens, dtype=torch.bool, device=visible.device
    ).scatter_(1, visible, False)
    # All clips have the same number of hidden tokens, so their numbers form a matrix.
    return hidden.nonzero()[:, 1].view(len(visible), -1)


def _visible_in(
    block: Block, settings: MaskSettings, rng: np.random.Generator
) -> Int64[np.ndarray, " visible"]:
    """Draw the visible tokens of one block."""
    shape = len(block.times), len(block.rows), len(block.columns)
    if block.kind == "mixed":
        visible = _draw(shape, settings.mixed, rng)
    elif block.kind == "video":
        visible = np.broadcast_to(_draw(shape[1:], settings.video, rng), shape)
    else:
        visible = np.broadcast_to(_visible_audio(shape, settings, rng), shape)
    times, rows, columns = np.nonzero(visible)
    side = len(block.columns)
    first = (block.times.start * side + block.rows.start) * side
    return np.asarray((times * side + rows) * side + columns + first, dtype=np.int64)


def _visible_audio(
    shape: tuple[int, int, int], settings: MaskSettings, rng: np.random.Generator
) -> Bool[np.ndarray, "row column"]:
    """Draw the visible patches of all spectrograms.

    Windows overlap by half: the second half of a window is the first half of the next.
    A patch is therefore visible together with the patch half a window away. Otherwise
    a hidden patch could be copied from the neighbor window.
    """
    _, rows, columns = shape
    half = columns // 2
    if settings.audio_shape == "frequency":
        drawn = _draw((rows, 1), settings.audio, rng)
    elif settings.audio_shape == "time":
        drawn = _draw((1, half), settings.audio, rng)
    else:
        drawn = _draw((rows, half), settings.audio, rng)
    return np.tile(np.broadcast_to(drawn, (rows, half)), (1, 2))


def _draw(
    shape: tuple[int, ...], ratio: float, rng: np.random.Generator
) -> Bool[np.ndarray, "*axes"]:
    """Draw the visible cells of a grid. At least one is visible."""
    cells = int(np.prod(shape))
    visible = np.zeros(cells, dtype=np.bool_)
    visible[rng.permutation(cells)[: max(1, round(cells * (1 - ratio)))]] = True
    return visible.reshape(shape)


def _generator(key: str) -> np.random.Generator:
    """Return a random generator whose numbers follow from a text."""
    return np.random.default_rng(list(hashlib.sha256(key.encode()).digest()))
