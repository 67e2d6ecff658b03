"""The encoder of MAE-DFER: attention within regions, among regions, and between both.

MAE-DFER: Efficient Masked Autoencoder for Self-supervised Dynamic Facial Expression
Recognition (Sun et al., ACM MM 2023). The paper calls the encoder LGI-Former.
Parameters have the names of the published weights (``blocks.N.first_attn.kv``).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mmder_train.models.videomae import (
    FRAMES,
    TUBELET,
    PatchEmbedding,
    PoolingConfig,
    init_weights,
    mean_pool,
    positions,
    run_blocks,
)

SIDE_PX = 160
DIM, DEPTH, HEADS = 512, 16, 8
GRID = (FRAMES // TUBELET[0], SIDE_PX // TUBELET[1], SIDE_PX // TUBELET[2])
"""Number of tokens of a clip: in time, rows and columns."""
REGION = (2, 5, 10)
"""Number of tokens of a region: in time, rows and columns."""
REGIONS = (GRID[0] // REGION[0], GRID[1] // REGION[1], GRID[2] // REGION[2])
"""Number of regions of a clip: in time, rows and columns."""


class Attention(nn.Module):
    """Multi-head attention: self-attention, or cross-attention to a context."""

    def __init__(self, dim: int, heads: int) -> None:
        """Create an attention layer over `dim` dimensions. Keys have no bias."""
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        tokens: Float[Tensor, "clip token dim"],
        context: Float[Tensor, "clip context dim"],
    ) -> Float[Tensor, "clip token dim"]:
        """Return the attention output of each of `tokens` over `context`."""
        kv_bias = torch.cat((torch.zeros_like(self.v_bias), self.v_bias))
        query = functional.linear(tokens, self.q.weight, self.q_bias)
        key, value = functional.linear(context, self.kv.weight, kv_bias).chunk(
            2, dim=-1
        )
        attended = functional.scaled_dot_product_attention(
            self._split_heads(query), self._split_heads(key), self._split_heads(value)
        )
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split_heads(
        self, tokens: Float[Tensor, "clip token dim"]
    ) -> Float[Tensor, "clip head token part"]:
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers. The hidden layer is four times as wide."""

    def __init__(self, dim: int) -> None:
        """Create an MLP over `dim` dimensions."""
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Float[Tensor, "*all dim"]) -> Float[Tensor, "*all dim"]:
        """Return tokens of the same shape."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """A local, a global and a local-global attention step, and an MLP for all tokens.

    The first token of each region is its region token, which represents the region.
    """

    def __init__(self, dim: int, heads: int, *, epsilon: float) -> None:
        """Create a block over `dim` dimensions."""
        super().__init__()
        self.first_attn_norm0 = nn.LayerNorm(dim, eps=epsilon)
        self.first_attn = Attention(dim, heads)
        self.second_attn_norm0 = nn.LayerNorm(dim, eps=epsilon)
        self.second_attn = Attention(dim, heads)
        self.third_attn_norm0 = nn.LayerNorm(dim, eps=epsilon)
        self.third_attn_norm1 = nn.LayerNorm(dim, eps=epsilon)
        self.third_attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=epsilon)
        self.mlp = Mlp(dim)
        self.drop_path: nn.Module = nn.Identity()

    def forward(
        self, tokens: Float[Tensor, "clip region token dim"]
    ) -> Float[Tensor, "clip region token dim"]:
        """Return tokens of the same shape."""
        # Local: all tokens of a region, including its region token.
        within = self.first_attn_norm0(tokens).flatten(0, 1)
        attended = self.first_attn(within, within).view_as(tokens)
        tokens = tokens + self.drop_path(attended)
        regions, local = tokens[:, :, 0], tokens[:, :, 1:]
        # Global: the region tokens of the clip.
        among = self.second_attn_norm0(regions)
        regions = regions + self.drop_path(self.second_attn(among, among))
        # Local-global: every other token attends to all region tokens of the clip.
        queries = self.third_attn_norm0(local).flatten(1, 2)
        attended = self.third_attn(queries, self.third_attn_norm1(regions))
        local = local + self.drop_path(attended.view_as(local))
        tokens = torch.cat((regions[:, :, None], local), dim=2)
        out: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return out


class Encoder(nn.Module):
    """Encoder of clips, with one pooled vector per clip."""

    side_px = SIDE_PX

    def __init__(self, readout: PoolingConfig, *, depth: int = DEPTH) -> None:
        """Create an encoder with random weights from torch's global generator.

        Args:
            readout: Pooling, epsilon and positions that the weights expect.
            depth: Number of blocks. Published weights have 16.
        """
        super().__init__()
        self.dim = DIM
        self.pool = readout.pool
        self.checkpoint_activations = False
        self.patch_embed = PatchEmbedding(DIM)
        table = positions(GRID[0] * GRID[1] * GRID[2], DIM)
        self.positions: Tensor | None
        self.register_buffer(
            "positions", table if readout.pos_embed else None, persistent=False
        )
        count = REGIONS[0] * REGIONS[1] * REGIONS[2]
        self.lg_region_tokens = nn.Parameter(torch.empty(count, DIM))
        self.blocks = nn.ModuleList(
            Block(DIM, HEADS, epsilon=readout.norm_eps) for _ in range(depth)
        )
        self.apply(init_weights)
        nn.init.trunc_normal_(self.lg_region_tokens, std=0.02)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters without weight decay, besides biases and norms."""
        return {"lg_region_tokens"}

    def tokens(
        self, clips: Float[Tensor, "clip 3 16 height width"]
    ) -> Float[Tensor, "clip region token dim"]:
        """Return the tokens of each region, its region token first.

        Clips of another size are resized to 160 px (bilinear, antialiased).
        """
        tokens: Tensor = self.patch_embed(_resize(clips))
        if self.positions is not None:
            tokens = tokens + self.positions.to(tokens.dtype)
        local = _group_by_region(tokens)
        regions = self.lg_region_tokens.to(tokens.dtype)[None, :, None]
        tokens = torch.cat((regions.expand(clips.shape[0], -1, -1, -1), local), dim=2)
        return run_blocks(self.blocks, tokens, recompute=self.checkpoint_activations)

    def forward(
        self, clips: Float[Tensor, "clip 3 16 height width"]
    ) -> Float[Tensor, "clip dim"]:
        """Return the mean of each clip's region tokens, or of its other tokens."""
        tokens = self.tokens(clips)
        if self.pool == "region":
            return mean_pool(tokens[:, :, 0])
        return mean_pool(tokens[:, :, 1:].flatten(1, 2))


def _resize(
    clips: Float[Tensor, "clip 3 16 height width"],
) -> Float[Tensor, "clip 3 16 160 160"]:
    if clips.shape[-2:] == (SIDE_PX, SIDE_PX):
        return clips
    # The filter takes images, so frames and colors are joined into one axis.
    small = functional.interpolate(
        clips.flatten(1, 2), size=(SIDE_PX, SIDE_PX), mode="bilinear", antialias=True
    )
    return small.view(*clips.shape[:3], SIDE_PX, SIDE_PX)


def _group_by_region(
    tokens: Float[Tensor, "clip token dim"],
) -> Float[Tensor, "clip region local dim"]:
    """Group tokens by region.

    Regions, and the tokens of a region, are ordered by time, row and column.
    """
    (nt, nh, nw), (t, h, w) = REGIONS, REGION
    parts = tokens.view(tokens.shape[0], nt, t, nh, h, nw, w, DIM)
    return parts.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)
