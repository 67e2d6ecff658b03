"""Rewriting a block to the official form does not change its output."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmder_train.weights.qkv import merge_qkv
from weight_files import Tensors


def attention(tensors: Tensors, x: Tensor) -> Tensor:
    """Compute the attention of one block by its formula, with the biases it has."""
    w = tensors["blocks.0.attn.qkv.weight"]
    bias = tensors.get("blocks.0.attn.qkv.bias")
    if bias is None:
        zero = torch.zeros(24, dtype=x.dtype)
        parts = (tensors["blocks.0.attn.q_bias"], zero, tensors["blocks.0.attn.v_bias"])
        bias = torch.cat(parts)
    q, k, v = (x @ w.T + bias).view(-1, 3, 2, 12).unbind(1)
    score = torch.einsum("qhd,khd->hqk", q, k) / 12**0.5
    out = torch.einsum("hqk,khd->qhd", score.softmax(-1), v).flatten(1)
    out = out @ tensors["blocks.0.attn.proj.weight"].T
    out = out + tensors["blocks.0.attn.proj.bias"]
    return out * tensors.get("blocks.0.ls1.gamma", torch.ones(24))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rewriting_attention_is_exact(seed: int) -> None:
    """The bias of the keys cancels; LayerScale is multiplied into the layer."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    original = {
        "blocks.0.attn.qkv.weight": noise(72, 24) / 5,
        "blocks.0.attn.qkv.bias": noise(72),
        "blocks.0.attn.proj.weight": noise(24, 24),
        "blocks.0.attn.proj.bias": noise(24),
        "blocks.0.ls1.gamma": noise(24),
    }
    rewritten, dropped = merge_qkv(original)
    assert set(rewritten) == {
        f"blocks.0.attn.{name}"
        for name in ("qkv.weight", "q_bias", "v_bias", "proj.weight", "proj.bias")
    }
    assert len(dropped) == 1
    x = noise(7, 24)
    torch.testing.assert_close(
        attention(rewritten, x), attention(original, x), rtol=1e-9, atol=1e-9
    )
