"""The VideoMAE encoder, and the classification head of any encoder.

No file access. Parameters have the names of the official VideoMAE
(``patch_embed.proj``, ``blocks.N.attn.q_bias``, ``fc_norm``, ``head``), so that weights
map one to one.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int64
from timm.models.beit import Block
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mmder_train.models.drop_path import DropPath

FRAMES = 16
SIDE_PX = 224
TUBELET = (2, 16, 16)
"""Number of frames, rows and columns per token (paper III-A)."""
TOKENS = (FRAMES // 2) * (SIDE_PX // 16) ** 2
EPSILON = 1e-6


Pool = Literal["mean", "region"]
"""Types of tokens that can be averaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolingConfig:
    """Differences between published encoders of one architecture."""

    norm_eps: float = EPSILON
    """Epsilon of every LayerNorm in the blocks."""
    pool: Pool = "mean"
    """Tokens that are averaged: those of the clip, or the region tokens."""
    pos_embed: bool = True
    """True if the fixed sine-cosine positions are added."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Width and depth of an encoder."""

    dim: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    patch_px: int = 16


SIZES = {
    # Ours, for trying the whole pipeline on a CPU. It fits no published weights.
    "tiny": Size(dim=96, depth=2, heads=2),
    # Ours, for training from scratch on a CPU: 128 tokens instead of 1,568.
    "tiny-56": Size(dim=96, depth=4, heads=2, patch_px=56),
    "small": Size(dim=384, depth=12, heads=6),
    "base": Size(dim=768, depth=12, heads=12),
    # Paper: III-A, "ViT-L as the backbone network with a dimension of 1024".
    "large": Size(dim=1024, depth=24, heads=16),
    "huge": Size(dim=1280, depth=32, heads=16),
    # ViT-g of VideoMAE V2.
    "giant": Size(dim=1408, depth=40, heads=16, mlp_ratio=48 / 11, patch_px=14),
}


def positions(tokens: int, dim: int) -> Float[Tensor, "token dim"]:
    """Compute the fixed sine-cosine position embedding of every token.

    Entry ``(p, i)`` is the sine (even i) or cosine (odd i) of
    ``p / 10000^(2 floor(i / 2) / dim)``, as in the Transformer and the official
    VideoMAE. One index p counts all tubelets, with frames slowest.
    """
    position = torch.arange(tokens, dtype=torch.float64)[:, None]
    pair = torch.arange(dim, dtype=torch.float64).div(2, rounding_mode="floor")
    angle = position / 10000.0 ** (2 * pair / dim)
    odd = (torch.arange(dim) % 2).bool()
    return torch.where(odd, angle.cos(), angle.sin()).float()


class PatchEmbedding(nn.Module):
    """Projection of a clip's tubelets to tokens, as one matrix product.

    It equals the official strided Conv3d, whose weight it holds. Tubelets do not
    overlap, so a matrix product computes the same and is much faster.
    """

    def __init__(self, dim: int, tubelet: tuple[int, int, int] = TUBELET) -> None:
        """Create a projection of tubelets to `dim` dimensions."""
        super().__init__()
        self.proj = nn.Conv3d(3, dim, kernel_size=tubelet, stride=tubelet)

    def forward(
        self,
        clips: Float[Tensor, "clip 3 frame height width"],
        kept: Int64[Tensor, "clip kept"] | None = None,
    ) -> Float[Tensor, "clip token dim"]:
        """Return the tokens in the order frame, row, column.

        Args:
            clips: Inputs of the encoder.
            kept: Indices of the tokens to compute. None for all.
        """
        clips = clips.to(self.proj.weight.dtype)
        clip, rgb, frame, height, width = clips.shape
        t, h, w = self.proj.weight.shape[2:]
        parts = clips.reshape(clip, rgb, frame // t, t, height // h, h, width // w, w)
        tubelets = parts.permute(0, 2, 4, 6, 1, 3, 5, 7)
        if kept is None:
            tubelets = tubelets.flatten(4).flatten(1, 3)
        else:
            # Indexed straight from the clips, so dropped tubelets are never copied.
            # By hand: torch.unravel_index copies the shape to the device and waits.
            rows, columns = tubelets.shape[2:4]
            plane = kept // columns
            position = (plane // rows, plane % rows, kept % columns)
            clip_index = torch.arange(clip, device=kept.device)[:, None]
            tubelets = tubelets[(clip_index, *position)].flatten(2)
        return functional.linear(tubelets, self.proj.weight.flatten(1), self.proj.bias)


class Encoder(nn.Module):
    """Encoder of clips, with one pooled vector per clip."""

    side_px = SIDE_PX

    def __init__(self, size: Size, readout: PoolingConfig | None = None) -> None:
        """Create an encoder with random weights from torch's global generator.

        Args:
            size: Width and depth.
            readout: Epsilon and positions that the weights expect. None for those of
                VideoMAE.
        """
        super().__init__()
        readout = readout or PoolingConfig()
        self.dim = size.dim
        self.checkpoint_activations = False
        self.drop_tokens = 0.0
        tubelet = (TUBELET[0], size.patch_px, size.patch_px)
        self.patch_embed = PatchEmbedding(size.dim, tubelet)
        self.num_tokens = (FRAMES // TUBELET[0]) * (SIDE_PX // size.patch_px) ** 2
        table = positions(self.num_tokens, size.dim) if readout.pos_embed else None
        self.positions: Tensor | None
        self.register_buffer("positions", table, persistent=False)
        self.blocks = nn.ModuleList(
            Block(
                size.dim,
                size.heads,
                qkv_bias=True,
                mlp_ratio=size.mlp_ratio,
                norm_layer=partial(nn.LayerNorm, eps=readout.norm_eps),  # type: ignore[arg-type]
            )
            for _ in range(size.depth)
        )
        self.apply(init_weights)

    def tokens(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float[Tensor, "clip token dim"]:
        """Compute the feature matrix F of the paper's equation (9).

        No norm follows the last block. The official encoder has none either if tokens
        are averaged: the norm follows the mean (see `Head`).
        """
        kept = self._sample_tokens(clips)
        tokens: Tensor = self.patch_embed(clips, kept)
        if self.positions is not None:
            table = self.positions.to(tokens.dtype).expand(clips.shape[0], -1, -1)
            tokens = tokens + (table if kept is None else gather_tokens(table, kept))
        return run_blocks(self.blocks, tokens, recompute=self.checkpoint_activations)

    def forward(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float[Tensor, "clip dim"]:
        """Return the mean of each clip's tokens, as 32-bit floats."""
        return mean_pool(self.tokens(clips))

    def _sample_tokens(self, clips: Tensor) -> Int64[Tensor, "clip kept"] | None:
        """Draw the tokens to keep in a training step, separately for each clip."""
        if not self.training or not self.drop_tokens:
            return None
        kept = max(1, round(self.num_tokens * (1 - self.drop_tokens)))
        drawn = torch.rand(len(clips), self.num_tokens, device=clips.device)
        return drawn.argsort(dim=1)[:, :kept].sort(dim=1).values


def gather_tokens(
    tokens: Float[Tensor, "clip token dim"], kept: Int64[Tensor, "clip kept"]
) -> Float[Tensor, "clip kept dim"]:
    """Return the tokens of each clip at its own indices."""
    return tokens.gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))


def mean_pool(tokens: Float[Tensor, "clip token dim"]) -> Float[Tensor, "clip dim"]:
    """Return the mean of each clip's tokens, in float32 or wider."""
    return tokens.mean(dim=1, dtype=torch.promote_types(tokens.dtype, torch.float32))


def run_blocks(
    blocks: nn.ModuleList, tokens: Float[Tensor, "clip *token dim"], *, recompute: bool
) -> Float[Tensor, "clip *token dim"]:
    """Run tokens through all blocks and return the last block's output.

    Args:
        blocks: Blocks, each from tokens to tokens of the same shape.
        tokens: Input of the first block.
        recompute: Store only the input of each block, and recompute its activations
            for the gradients. The small encoder then stores 37 MiB per clip instead of
            451 (float32), at the cost of one more forward pass. Gradients are the same.
    """
    for block in blocks:
        if recompute and torch.is_grad_enabled():
            # Only stochastic depth draws random numbers, which must be drawn again.
            draws = any(isinstance(part, DropPath) for part in block.modules())
            tokens = checkpoint(
                block, tokens, use_reentrant=False, preserve_rng_state=draws
            )
        else:
            tokens = block(tokens)
    return tokens


class Head(nn.Module):
    """Classification head: pooled features to one logit per class.

    Paper: IV-B3, "only single-layer neural network". The flow chart (figure 4) has
    pooling and a normalization before it. The norm is not specified; we use LayerNorm,
    as in the official VideoMAE (``fc_norm``).
    """

    def __init__(
        self, dim: int, classes: int, *, init_scale: float = 1.0, dropout: float = 0.0
    ) -> None:
        """Create a head with random weights from torch's global generator.

        Args:
            dim: Feature dimension of the encoder.
            classes: Number of classes.
            init_scale: Factor on the initial weights. VideoMAE fine-tunes with 0.001:
                the first gradients of a pretrained encoder are then close to 0.
            dropout: Fraction of the features that a training step sets to 0.
        """
        super().__init__()
        self.fc_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.fc_dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        self.head.weight.data.mul_(init_scale)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, features: Float[Tensor, "clip dim"]
    ) -> Float[Tensor, "clip class"]:
        """Return the logits. They have the precision of the head on every device."""
        with _without_autocast(features.device.type):
            x = features.to(self.head.weight.dtype)
            logits: Tensor = self.head(self.fc_dropout(self.fc_norm(x)))
        return logits


def _without_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context without mixed precision, which some devices do not have."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def init_weights(module: nn.Module) -> None:
    """Initialize the weights of a module as VideoMAE does before pre-training."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, PatchEmbedding):
        nn.init.xavier_uniform_(module.proj.weight.data.flatten(1))
        if module.proj.bias is not None:
            nn.init.zeros_(module.proj.bias)
