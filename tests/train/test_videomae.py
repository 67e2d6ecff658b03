"""The encoder against the one of transformers, and against the published sizes."""

import math

import pytest
import torch

from mmder_train import cli
from mmder_train.videomae import (
    SIZES,
    TOKENS,
    Encoder,
    Head,
    PatchEmbedding,
    Size,
    positions,
)

SMALL = Size(dim=48, depth=2, heads=3)


def test_positions_follow_the_formula() -> None:
    table = positions(TOKENS, 384)
    for token, i in [(0, 0), (0, 1), (1, 0), (7, 5), (1567, 382), (1567, 383)]:
        angle = token / 10000 ** (2 * (i // 2) / 384)
        expected = math.cos(angle) if i % 2 else math.sin(angle)
        assert table[token, i].item() == pytest.approx(expected, abs=1e-7)


def test_patches_equal_the_strided_convolution() -> None:
    torch.manual_seed(0)
    embed, clips = PatchEmbedding(24), torch.randn(2, 3, 16, 224, 224)
    with torch.inference_mode():
        convolved = embed.proj(clips).flatten(2).transpose(1, 2)
        torch.testing.assert_close(embed(clips), convolved, atol=1e-5, rtol=1e-5)


NAMES = (
    ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
    ("blocks.", "encoder.layer."),
    ("norm1", "layernorm_before"),
    ("norm2", "layernorm_after"),
    ("attn.q_bias", "attention.attention.query.bias"),
    ("attn.v_bias", "attention.attention.value.bias"),
    ("attn.proj", "attention.output.dense"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
)


def named_by_transformers(ours: str) -> str:
    for official, theirs in NAMES:
        ours = ours.replace(official, theirs)
    return ours


@pytest.mark.filterwarnings("ignore")
def test_encoder_equals_that_of_transformers() -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    config = VideoMAEConfig(
        hidden_size=SMALL.dim,
        num_hidden_layers=SMALL.depth,
        num_attention_heads=SMALL.heads,
        intermediate_size=4 * SMALL.dim,
        layer_norm_eps=1e-6,
        use_mean_pooling=True,
    )
    theirs = VideoMAEModel(config).double()
    theirs.train(mode=False)
    with torch.no_grad():
        for tensor in theirs.parameters():
            tensor.normal_(std=0.2)
    found = theirs.state_dict()
    mapped = {}
    for name in Encoder(SMALL).state_dict():
        if name.endswith("attn.qkv.weight"):
            base = named_by_transformers(name.removesuffix("attn.qkv.weight"))
            parts = [
                found.pop(f"{base}attention.attention.{part}.weight")
                for part in ("query", "key", "value")
            ]
            mapped[name] = torch.cat(parts)
        else:
            mapped[name] = found.pop(named_by_transformers(name))
    assert not found
    ours = Encoder(SMALL).eval().double()
    ours.load_state_dict(mapped)
    clips = torch.randn(1, 3, 16, 224, 224, dtype=torch.float64)
    with torch.inference_mode():
        expected = theirs(clips.transpose(1, 2)).last_hidden_state
        torch.testing.assert_close(ours.tokens(clips), expected, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(ours(clips), expected.mean(dim=1))


# Parameters of the pre-trained ViT encoders as published: S 22M, B 86M (87M with its
# head), L 304M, H 631M (633M with its head); computed here from the architecture.
@pytest.mark.parametrize(
    ("name", "millions"), [("small", 22), ("base", 86), ("large", 304), ("huge", 631)]
)
def test_parameter_counts(name: str, millions: int) -> None:
    size = SIZES[name]
    with torch.device("meta"):
        encoder = Encoder(size)
    d = size.dim
    patch = 3 * 2 * 16 * 16 * d + d
    # Two norms; qkv with two biases; projection; two layers of four times the width.
    block = 4 * d + (3 * d * d + 2 * d) + (d * d + d) + (8 * d * d + 5 * d)
    count = sum(p.numel() for p in encoder.parameters())
    assert count == patch + size.depth * block
    assert count / 1e6 == pytest.approx(millions, abs=1)


def test_names_are_the_official_ones() -> None:
    names = {*Encoder(SMALL).state_dict(), *Head(48, 7).state_dict()}
    block = {
        "norm1.weight",
        "norm1.bias",
        "attn.q_bias",
        "attn.v_bias",
        "attn.qkv.weight",
        "attn.proj.weight",
        "attn.proj.bias",
        "norm2.weight",
        "norm2.bias",
        "mlp.fc1.weight",
        "mlp.fc1.bias",
        "mlp.fc2.weight",
        "mlp.fc2.bias",
    }
    assert names == {
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        *(f"blocks.{i}.{name}" for i in range(2) for name in block),
        "fc_norm.weight",
        "fc_norm.bias",
        "head.weight",
        "head.bias",
    }


def test_attention_goes_through_the_fused_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def counted(*args: object, **more: object) -> torch.Tensor:
        calls.append(1)
        return kernel(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    with torch.inference_mode():
        pooled = Encoder(SMALL)(torch.zeros(1, 3, 16, 224, 224))
    assert pooled.shape == (1, 48)
    assert len(calls) == SMALL.depth


def test_the_command_line_names_every_size() -> None:
    assert tuple(SIZES) == cli.ENCODERS
