"""The decoder of pre-training: visible tokens in, pixels of hidden tokens out.

It is used only in pre-training. Its architecture is that of VideoMAE (arXiv
2203.12602): a linear layer to its width, one learned mask token, fixed sine-cosine
positions, blocks over all tokens, and a linear layer to pixels.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int64
from timm.models.beit import Block
from torch import Tensor, nn

from mmder_train.models.videomae import (
    EPSILON,
    gather_tokens,
    init_weights,
    positions,
    run_blocks,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderSize:
    """Width and depth of a decoder."""

    dim: int
    depth: int = 4
    heads: int


DECODERS = {
    # Ours: the encoders have few parameters, and the decoder sees all tokens.
    "tiny": DecoderSize(dim=96, depth=2, heads=2),
    "tiny-56": DecoderSize(dim=96, depth=2, heads=2),
    "small": DecoderSize(dim=192, heads=3),
    "base": DecoderSize(dim=384, heads=6),
    "large": DecoderSize(dim=512, heads=8),
    "huge": DecoderSize(dim=512, heads=8),
    "giant": DecoderSize(dim=512, heads=8),
}
"""Decoder of each encoder that can be pre-trained."""


class Decoder(nn.Module):
    """Decoder of hidden tokens."""

    def __init__(
        self, size: DecoderSize, *, encoder_dim: int, tokens: int, pixels: int
    ) -> None:
        """Create a decoder with random weights from torch's global generator.

        Args:
            size: Width and depth.
            encoder_dim: Width of the encoder.
            tokens: Number of tokens of a clip.
            pixels: Number of values that are predicted per token.
        """
        super().__init__()
        self.encoder_norm = nn.LayerNorm(encoder_dim, eps=EPSILON)
        self.embed = nn.Linear(encoder_dim, size.dim, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.dim))
        self.positions: Tensor
        self.register_buffer("positions", positions(tokens, size.dim), persistent=False)
        self.blocks = nn.ModuleList(
            Block(
                size.dim,
                size.heads,
                qkv_bias=True,
                norm_layer=partial(nn.LayerNorm, eps=EPSILON),  # type: ignore[arg-type]
            )
            for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.dim, eps=EPSILON)
        self.head = nn.Linear(size.dim, pixels)
        self.apply(init_weights)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters without weight decay, besides biases and norms."""
        return {"mask_token"}

    def forward(
        self,
        encoded: Float[Tensor, "clip visible dim"],
        visible: Int64[Tensor, "clip visible"],
        hidden: Int64[Tensor, "clip hidden"],
        *,
        recompute: bool = False,
    ) -> Float[Tensor, "clip hidden pixel"]:
        """Return the prediction for each hidden token.

        Args:
            encoded: Outputs of the encoder for the visible tokens.
            visible: Number of each visible token.
            hidden: Number of each hidden token.
            recompute: True to recompute activations for the gradients.
        """
        tokens = self.embed(self.encoder_norm(encoded))
        table = self.positions.to(tokens.dtype).expand(len(encoded), -1, -1)
        masked = self.mask_token.to(tokens.dtype) + gather_tokens(table, hidden)
        both = torch.cat((tokens + gather_tokens(table, visible), masked), dim=1)
        decoded = run_blocks(self.blocks, both, recompute=recompute)
        predicted: Tensor = self.head(self.norm(decoded[:, tokens.shape[1] :]))
        return predicted
