"""The VideoMAE encoder, and the head on top of any encoder; no files here.

Names of parameters are those of the official VideoMAE (``patch_embed.proj``,
``blocks.N.attn.q_bias``, ``fc_norm``, ``head``), so that weights map one to one.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int64
from timm.models.beit import Block
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

FRAMES = 16
SIDE_PX = 224
TUBELET = (2, 16, 16)
"""Frames, rows and columns that one token sees (paper III-A)."""
TOKENS = (FRAMES // 2) * (SIDE_PX // 16) ** 2
EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolingConfig:
    """What published encoders of one architecture do differently."""

    norm_eps: float = EPSILON
    """Added to the variance in every LayerNorm of the blocks."""
    pool: Literal["mean", "region"] = "mean"
    """Which tokens are averaged: those of the clip, or the region tokens."""
    pos_embed: bool = True
    """Whether the fixed sine-cosine positions are added."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How wide and how deep an encoder is."""

    dim: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    patch_px: int = 16


SIZES = {
    # Ours, for trying the whole way on a CPU; no published weights fit it.
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
    """Give the fixed sine-cosine position of every token.

    Entry ``(p, i)`` is the sine (even i) or cosine (odd i) of
    ``p / 10000^(2 floor(i / 2) / dim)``, as in the Transformer and the official
    VideoMAE: one running number over all tubelets, frames slowest.
    """
    place = torch.arange(tokens, dtype=torch.float64)[:, None]
    pair = torch.arange(dim, dtype=torch.float64).div(2, rounding_mode="floor")
    angle = place / 10000.0 ** (2 * pair / dim)
    odd = (torch.arange(dim) % 2).bool()
    return torch.where(odd, angle.cos(), angle.sin()).float()


class PatchEmbedding(nn.Module):
    """Cut a clip into tubelets and project each, as one matrix product.

    Equal to the official strided Conv3d, whose weight it holds; tubelets do not
    overlap, so no convolution is needed and a matrix product is much faster.
    """

    def __init__(self, dim: int, tubelet: tuple[int, int, int] = TUBELET) -> None:
        """Make a projection of tubelets into `dim` dimensions."""
        super().__init__()
        self.proj = nn.Conv3d(3, dim, kernel_size=tubelet, stride=tubelet)

    def forward(
        self,
        clips: Float[Tensor, "clip 3 frame height width"],
        kept: Int64[Tensor, "clip kept"] | None = None,
    ) -> Float[Tensor, "clip token dim"]:
        """Give the tokens in the order frame, row, column; of `kept` places alone."""
        clip, rgb, frame, height, width = clips.shape
        t, h, w = self.proj.weight.shape[2:]
        parts = clips.reshape(clip, rgb, frame // t, t, height // h, h, width // w, w)
        tubelets = parts.permute(0, 2, 4, 6, 1, 3, 5, 7)
        if kept is None:
            tubelets = tubelets.flatten(4).flatten(1, 3)
        else:
            # Straight from the clips: what is left out is not even copied.
            place = torch.unravel_index(kept, tubelets.shape[1:4])
            own = torch.arange(clip, device=kept.device)[:, None]
            tubelets = tubelets[(own, *place)].flatten(2)
        return functional.linear(tubelets, self.proj.weight.flatten(1), self.proj.bias)


class Encoder(nn.Module):
    """Clips to one pooled vector each."""

    side_px = SIDE_PX

    def __init__(self, size: Size, readout: PoolingConfig | None = None) -> None:
        """Make an encoder with random weights from torch's global generator.

        Args:
            size: How wide and how deep.
            readout: What the weights expect; None for what VideoMAE does.
        """
        super().__init__()
        readout = readout or PoolingConfig()
        self.dim = size.dim
        self.checkpoint_activations = False
        self.drop_tokens = 0.0
        tubelet = (TUBELET[0], size.patch_px, size.patch_px)
        self.patch_embed = PatchEmbedding(size.dim, tubelet)
        self.places = (FRAMES // TUBELET[0]) * (SIDE_PX // size.patch_px) ** 2
        table = positions(self.places, size.dim) if readout.pos_embed else None
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
        """Give the feature matrix F of the paper's equation (9).

        There is no norm after the last block: the official encoder has none either
        where tokens are averaged, the norm follows the mean (see `Head`).
        """
        kept = self._sample_tokens(clips)
        tokens: Tensor = self.patch_embed(clips, kept)
        if self.positions is not None:
            table = self.positions.to(tokens.dtype).expand(len(clips), -1, -1)
            tokens = tokens + (table if kept is None else gather_tokens(table, kept))
        return run_blocks(self.blocks, tokens, recompute=self.checkpoint_activations)

    def forward(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float[Tensor, "clip dim"]:
        """Give the mean of a clip's tokens."""
        return self.tokens(clips).mean(dim=1)

    def _sample_tokens(self, clips: Tensor) -> Int64[Tensor, "clip kept"] | None:
        """Draw the tokens that a training step sees, anew for each clip."""
        if not self.training or not self.drop_tokens:
            return None
        kept = max(1, round(self.places * (1 - self.drop_tokens)))
        drawn = torch.rand(len(clips), self.places, device=clips.device)
        return drawn.argsort(dim=1)[:, :kept].sort(dim=1).values


def gather_tokens(
    tokens: Float[Tensor, "clip token dim"], kept: Int64[Tensor, "clip kept"]
) -> Float[Tensor, "clip kept dim"]:
    """Give each clip's tokens at its own places."""
    return tokens.gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))


def run_blocks(
    blocks: nn.ModuleList, tokens: Float[Tensor, "clip *token dim"], *, recompute: bool
) -> Float[Tensor, "clip *token dim"]:
    """Pass tokens through blocks, one after the other.

    Args:
        blocks: Each gives tokens of the same shape.
        tokens: What the first block takes.
        recompute: Keep only what each block takes and compute its inside again for
            the gradients. The small encoder then keeps 37 MiB a clip instead of 451
            (float32), for one more pass forwards; gradients are the same.
    """
    for block in blocks:
        if recompute and torch.is_grad_enabled():
            tokens = checkpoint(block, tokens, use_reentrant=False)
        else:
            tokens = block(tokens)
    return tokens


class Head(nn.Module):
    """Pooled features to one logit a class.

    Paper: IV-B3, "only single-layer neural network"; the flow chart (figure 4) puts
    pooling and a normalisation before it. Which norm is open; LayerNorm, as in the
    official VideoMAE (``fc_norm``).
    """

    def __init__(self, dim: int, classes: int) -> None:
        """Make a head with random weights from torch's global generator."""
        super().__init__()
        self.fc_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.head = nn.Linear(dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, features: Float[Tensor, "clip dim"]
    ) -> Float[Tensor, "clip class"]:
        """Give the logits."""
        logits: Tensor = self.head(self.fc_norm(features))
        return logits


def init_weights(module: nn.Module) -> None:
    """Draw the weights as VideoMAE does before its pre-training."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, PatchEmbedding):
        nn.init.xavier_uniform_(module.proj.weight.data.flatten(1))
        if module.proj.bias is not None:
            nn.init.zeros_(module.proj.bias)
