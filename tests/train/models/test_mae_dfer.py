"""The MAE-DFER encoder equals a step-by-step reference and the published sizes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from flop_counter import giga_multiplications
from mmder_train.models.classifier import Classifier
from mmder_train.models.mae_dfer import DIM, HEADS, Block, Encoder
from mmder_train.models.videomae import Head, PoolingConfig, positions

REGION = PoolingConfig(pool="region")


def random_weights(module: nn.Module) -> None:
    """Change all weights: the initial ones and zeros would hide swapped weights."""
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(torch.randn_like(tensor), alpha=0.05)


def attend(
    weights: dict[str, Tensor], layer: str, tokens: Tensor, context: Tensor
) -> Tensor:
    """Attend with PyTorch's multi-head attention, which joins q, k and v."""
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    w = {name: weights[f"{layer}.{name}"] for name in ("q.weight", "kv.weight")}
    q, v = weights[f"{layer}.q_bias"], weights[f"{layer}.v_bias"]
    attention.load_state_dict(
        {
            "in_proj_weight": torch.cat((w["q.weight"], w["kv.weight"])),
            "in_proj_bias": torch.cat((q, torch.zeros(DIM, dtype=q.dtype), v)),
            "out_proj.weight": weights[f"{layer}.proj.weight"],
            "out_proj.bias": weights[f"{layer}.proj.bias"],
        }
    )
    out: Tensor = attention(tokens[None], context[None], context[None])[0][0]
    return out


def layer_norm(weights: dict[str, Tensor], layer: str, tokens: Tensor) -> Tensor:
    weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    return functional.layer_norm(tokens, (DIM,), weight, bias, eps=1e-6)


def reference_block(
    weights: dict[str, Tensor], regions: Tensor, local: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Compute one block for one clip, region by region."""
    # First stage: within a region, over its tokens and its region token.
    for i, tokens in enumerate(local):
        both = torch.cat((regions[i : i + 1], tokens))
        norm = layer_norm(weights, "first_attn_norm0", both)
        both = both + attend(weights, "first_attn", norm, norm)
        regions = torch.cat((regions[:i], both[:1], regions[i + 1 :]))
        local[i] = both[1:]
    # Second stage: among the region tokens.
    norm = layer_norm(weights, "second_attn_norm0", regions)
    regions = regions + attend(weights, "second_attn", norm, norm)
    # Third stage: every token attends to the region tokens.
    context = layer_norm(weights, "third_attn_norm1", regions)
    for i, tokens in enumerate(local):
        queries = layer_norm(weights, "third_attn_norm0", tokens)
        local[i] = tokens + attend(weights, "third_attn", queries, context)

    def mlp(tokens: Tensor) -> Tensor:
        norm = layer_norm(weights, "norm2", tokens)
        wide = norm @ weights["mlp.fc1.weight"].T + weights["mlp.fc1.bias"]
        wide = wide * 0.5 * (1 + torch.erf(wide / 2**0.5))
        return tokens + wide @ weights["mlp.fc2.weight"].T + weights["mlp.fc2.bias"]

    return mlp(regions), [mlp(tokens) for tokens in local]


@pytest.mark.parametrize("pool", ["region", "mean"])
@torch.no_grad()
def test_the_encoder_equals_the_steps_of_the_paper(pool: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(PoolingConfig(pool=pool), depth=2).double().eval()  # type: ignore[arg-type]
    random_weights(encoder)
    clips = torch.randn(2, 3, 16, 160, 160, dtype=torch.float64)
    clip = clips[1:]
    weights = encoder.state_dict()
    # Regions of 2 x 5 x 10 tokens in a grid of 8 x 10 x 10, gathered one by one.
    tokens = encoder.patch_embed.proj(clip)[0].flatten(1).T + positions(800, DIM)
    local = [
        torch.stack(
            [
                tokens[(t * 10 + y) * 10 + x]
                for t in range(first, first + 2)
                for y in range(top, top + 5)
                for x in range(10)
            ]
        )
        for first in (0, 2, 4, 6)
        for top in (0, 5)
    ]
    regions = weights["lg_region_tokens"]
    for i in range(2):
        prefix = f"blocks.{i}."
        block = {
            k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)
        }
        regions, local = reference_block(block, regions, local)
    expected = regions.mean(0) if pool == "region" else torch.cat(local).mean(0)
    torch.testing.assert_close(encoder(clips)[1], expected)


def test_the_parameter_count_equals_the_published_log() -> None:
    # "number of params: 84878343" in the authors' logs/dfew.out, with seven classes.
    with torch.device("meta"):
        model = Classifier(Encoder(REGION), Head(DIM, 7))
    assert sum(p.numel() for p in model.parameters()) == 84_878_343


@pytest.mark.filterwarnings("ignore")
def test_the_multiplication_count_equals_the_published_one() -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    with torch.device("meta"):
        ours = Encoder(REGION)
        base = VideoMAEModel(VideoMAEConfig(image_size=160))
    g = giga_multiplications(ours, side_px=160)
    assert round(g) == 50
    # The paper's abstract: 38 % less than the base VideoMAE on clips of the same size.
    plain = giga_multiplications(_FramesFirst(base), side_px=160)
    assert 1 - g / plain == pytest.approx(0.38, abs=0.01)


class _FramesFirst(nn.Module):
    """Model of transformers, for clips with the color axis first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        out: Tensor = self.model(clips.transpose(1, 2)).last_hidden_state
        return out


def test_parameter_names_are_those_of_the_published_weights() -> None:
    with torch.device("meta"):
        encoder = Encoder(REGION)
    attention = {
        "q.weight",
        "kv.weight",
        "q_bias",
        "v_bias",
        "proj.weight",
        "proj.bias",
    }
    norms = {
        "first_attn_norm0",
        "second_attn_norm0",
        "third_attn_norm0",
        "third_attn_norm1",
        "norm2",
    }
    block = {f"{norm}.{part}" for norm in norms for part in ("weight", "bias")}
    block |= {
        f"{stage}_attn.{part}"
        for stage in ("first", "second", "third")
        for part in attention
    }
    block |= {
        f"mlp.{layer}.{p}" for layer in ("fc1", "fc2") for p in ("weight", "bias")
    }
    assert set(encoder.state_dict()) == {
        "lg_region_tokens",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        *(f"blocks.{i}.{name}" for i in range(16) for name in block),
    }


@torch.no_grad()
def test_clips_of_224_px_are_resized_as_in_pillow() -> None:
    torch.manual_seed(0)
    encoder = Encoder(REGION, depth=1).eval()
    clips = torch.rand(2, 3, 16, 224, 224)
    small = torch.empty(2, 3, 16, 160, 160)
    for index in np.ndindex(2, 3, 16):
        image = Image.fromarray(clips[index].numpy())
        resized = image.resize((160, 160), Image.Resampling.BILINEAR)
        small[index] = torch.from_numpy(np.array(resized))
    torch.testing.assert_close(encoder(clips), encoder(small), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_regions_exchange_information_only_through_region_tokens() -> None:
    torch.manual_seed(0)
    block = Block(DIM, HEADS, epsilon=1e-6).eval()
    random_weights(block)
    tokens = torch.randn(1, 8, 101, DIM)
    other = tokens.clone()
    # All tokens of region 3 change, except its region token.
    other[:, 3, 1:] += 1
    changed = (block(tokens) - block(other)).abs().amax(dim=-1)[0] > 1e-6
    assert changed.all()
    block.second_attn.proj.weight.zero_()
    block.third_attn.proj.weight.zero_()
    changed = (block(tokens) - block(other)).abs().amax(dim=-1)[0] > 1e-6
    assert changed.any(dim=1).tolist() == [i == 3 for i in range(8)]
