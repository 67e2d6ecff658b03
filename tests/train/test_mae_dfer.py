"""MAE-DFER's encoder against its description, step by step, and its published sizes."""

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
    """Move every weight from where it starts: ones and zeros hide a wrong place."""
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(torch.randn_like(tensor), alpha=0.05)


def told(weights: dict[str, Tensor], which: str, asking: Tensor, by: Tensor) -> Tensor:
    """Attend with PyTorch's own multi-head attention, which keeps q, k and v in one."""
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    w = {name: weights[f"{which}.{name}"] for name in ("q.weight", "kv.weight")}
    q, v = weights[f"{which}.q_bias"], weights[f"{which}.v_bias"]
    attention.load_state_dict(
        {
            "in_proj_weight": torch.cat((w["q.weight"], w["kv.weight"])),
            "in_proj_bias": torch.cat((q, torch.zeros(DIM, dtype=q.dtype), v)),
            "out_proj.weight": weights[f"{which}.proj.weight"],
            "out_proj.bias": weights[f"{which}.proj.bias"],
        }
    )
    out: Tensor = attention(asking[None], by[None], by[None])[0][0]
    return out


def normed(weights: dict[str, Tensor], which: str, tokens: Tensor) -> Tensor:
    weight, bias = weights[f"{which}.weight"], weights[f"{which}.bias"]
    return functional.layer_norm(tokens, (DIM,), weight, bias, eps=1e-6)


def stepped(
    weights: dict[str, Tensor], regions: Tensor, local: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Pass one clip through one block, one region after the other."""
    # First stage: within a region, its tokens and the one that stands for it.
    for i, tokens in enumerate(local):
        both = torch.cat((regions[i : i + 1], tokens))
        norm = normed(weights, "first_attn_norm0", both)
        both = both + told(weights, "first_attn", norm, norm)
        regions = torch.cat((regions[:i], both[:1], regions[i + 1 :]))
        local[i] = both[1:]
    # Second stage: among those that stand for regions.
    norm = normed(weights, "second_attn_norm0", regions)
    regions = regions + told(weights, "second_attn", norm, norm)
    # Third stage: every token asks those that stand for regions.
    by = normed(weights, "third_attn_norm1", regions)
    for i, tokens in enumerate(local):
        asking = normed(weights, "third_attn_norm0", tokens)
        local[i] = tokens + told(weights, "third_attn", asking, by)

    def two_layers(tokens: Tensor) -> Tensor:
        norm = normed(weights, "norm2", tokens)
        wide = norm @ weights["mlp.fc1.weight"].T + weights["mlp.fc1.bias"]
        wide = wide * 0.5 * (1 + torch.erf(wide / 2**0.5))
        return tokens + wide @ weights["mlp.fc2.weight"].T + weights["mlp.fc2.bias"]

    return two_layers(regions), [two_layers(tokens) for tokens in local]


@pytest.mark.parametrize("pool", ["region", "mean"])
@torch.no_grad()
def test_a_clip_passes_the_steps_of_the_paper_in_their_order(pool: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(PoolingConfig(pool=pool), depth=2).double().eval()  # type: ignore[arg-type]
    random_weights(encoder)
    clips = torch.randn(2, 3, 16, 160, 160, dtype=torch.float64)
    clip = clips[1:]
    weights = encoder.state_dict()
    # Regions of 2 x 5 x 10 tokens in a grid of 8 x 10 x 10, picked one by one.
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
        start = f"blocks.{i}."
        block = {k[len(start) :]: v for k, v in weights.items() if k.startswith(start)}
        regions, local = stepped(block, regions, local)
    expected = regions.mean(0) if pool == "region" else torch.cat(local).mean(0)
    torch.testing.assert_close(encoder(clips)[1], expected)


def test_parameters_are_as_many_as_in_the_published_log() -> None:
    # "number of params: 84878343", in the authors' logs/dfew.out, seven classes.
    with torch.device("meta"):
        model = Classifier(Encoder(REGION), Head(DIM, 7))
    assert sum(p.numel() for p in model.parameters()) == 84_878_343


@pytest.mark.filterwarnings("ignore")
def test_multiplications_are_as_many_as_published() -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    with torch.device("meta"):
        ours = Encoder(REGION)
        base = VideoMAEModel(VideoMAEConfig(image_size=160))
    g = giga_multiplications(ours, side_px=160)
    assert round(g) == 50
    # The paper's abstract: 38 % less than VideoMAE's base on clips of the same size.
    plain = giga_multiplications(_FramesFirst(base), side_px=160)
    assert 1 - g / plain == pytest.approx(0.38, abs=0.01)


class _FramesFirst(nn.Module):
    """Transformers' model for clips with colours first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        out: Tensor = self.model(clips.transpose(1, 2)).last_hidden_state
        return out


def test_names_are_those_of_the_published_weights() -> None:
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
        f"{which}_attn.{part}"
        for which in ("first", "second", "third")
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
def test_clips_of_224_px_are_made_smaller_as_pillow_does() -> None:
    torch.manual_seed(0)
    encoder = Encoder(REGION, depth=1).eval()
    clips = torch.rand(2, 3, 16, 224, 224)
    small = torch.empty(2, 3, 16, 160, 160)
    for place in np.ndindex(2, 3, 16):
        picture = Image.fromarray(clips[place].numpy())
        resized = picture.resize((160, 160), Image.Resampling.BILINEAR)
        small[place] = torch.from_numpy(np.array(resized))
    torch.testing.assert_close(encoder(clips), encoder(small), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_region_hears_of_the_others_only_through_their_region_tokens() -> None:
    torch.manual_seed(0)
    block = Block(DIM, HEADS, epsilon=1e-6).eval()
    random_weights(block)
    tokens = torch.randn(1, 8, 101, DIM)
    other = tokens.clone()
    # Region 3 keeps its region token's place but sees other tokens.
    other[:, 3, 1:] += 1
    changed = (block(tokens) - block(other)).abs().amax(dim=-1)[0] > 1e-6
    assert changed.all()
    block.second_attn.proj.weight.zero_()
    block.third_attn.proj.weight.zero_()
    changed = (block(tokens) - block(other)).abs().amax(dim=-1)[0] > 1e-6
    assert changed.any(dim=1).tolist() == [i == 3 for i in range(8)]
