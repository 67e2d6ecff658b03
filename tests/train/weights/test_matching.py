"""Weights that fit are loaded completely. All others are refused with one line."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Encoder, Head, PoolingConfig, Size, positions
from mmder_train.weights.types import SourceInfo, Weights
from weight_files import (
    BARE,
    FINE_TUNED,
    SIZE,
    Tensors,
    assert_same,
    reloaded,
    with_prefix,
)

SMALL = Size(dim=24, depth=1, heads=2)
LOADED = Weights(
    name="w",
    format="VideoMAE",
    sha256="",
    encoder="",
    tensors=BARE,
    dropped={},
    readout=PoolingConfig(),
    image_norm="imagenet",
    source_info=SourceInfo(),
    metadata={},
)


def make_encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL)


def test_another_size_is_refused_with_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = weights.to_state_dict(make_encoder(), Head(24, 2))
    weights.save_weights(path, tensors, {"encoder": "tiny", "classes": ["a", "b"]})
    loaded = weights.load_weights(path)
    text = (
        r"tensor 'patch_embed.proj.weight' is \(24, 3, 2, 16, 16\), "
        r"expected \(48, 3, 2, 16, 16\), "
    )
    with pytest.raises(WeightsError, match=text):
        weights.load_into(Encoder(Size(dim=48, depth=1, heads=2)), loaded)
    with pytest.raises(WeightsError, match=r"no tensor 'blocks.1.norm1.weight'"):
        weights.load_into(Encoder(Size(dim=24, depth=2, heads=2)), loaded)


def test_the_encoder_that_fits_is_suggested(tmp_path: Path) -> None:
    torch.save(build_encoder("tiny").state_dict(), tmp_path / "w")
    loaded = weights.load_weights(tmp_path / "w")
    assert loaded.encoder == "tiny"
    match = weights.match_weights(weights.build_meta_encoder("base"), loaded)
    with pytest.raises(WeightsError, match=r"Pass --encoder tiny\.$"):
        match.raise_if_incompatible("w")


def test_unexpected_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {**make_encoder().state_dict(), "cls_token": torch.zeros(24)}
    weights.save_weights(path, tensors, {"encoder": "tiny", "classes": ["a", "b"]})
    with pytest.raises(WeightsError, match=r"the encoder has no 'cls_token'"):
        weights.load_into(make_encoder(), weights.load_weights(path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_converted_to_32_bits(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    torch.save({name: t.to(dtype) for name, t in BARE.items()}, tmp_path / "w")
    for name, tensor in reloaded(tmp_path / "w").items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, BARE[name].to(dtype).float())


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large", "huge"])
def test_the_encoder_is_recognized(tmp_path: Path, name: str) -> None:
    """The first block shows the width, and the biases of all blocks the depth."""
    kept = {
        key: torch.zeros(like.shape, dtype=torch.float16)
        for key, like in weights.build_meta_encoder(name).state_dict().items()
        if like.ndim == 1 or key.startswith(("patch_embed", "blocks.0."))
    }
    torch.save(kept, tmp_path / "w")
    assert weights.load_weights(tmp_path / "w").encoder == name


def changed(**changes: Tensor | None) -> Tensors:
    """Return the tensors with some replaced, or removed if None."""
    out = dict(BARE)
    for keyword, tensor in changes.items():
        name = keyword.replace("__", ".")
        if tensor is None:
            del out[name]
        else:
            out[name] = tensor
    return out


MIXED = {
    (name if k % 3 else f"module.{name}"): tensor
    for k, (name, tensor) in enumerate(BARE.items())
}
CLS = {
    **changed(patch_embed__proj__weight=torch.ones(24, 3, 16, 16)),
    "cls_token": torch.ones(1, 1, 24),
}
INCOMPATIBLE: dict[str, tuple[Tensors, str]] = {
    "image ViT": (
        CLS,
        r"tensor 'patch_embed.proj.weight' is \(24, 3, 16, 16\), expected "
        r"\(24, 3, 2, 16, 16\); the encoder has no 'cls_token'. An image model: pass "
        r"--weights timm:NAME@FILE.",
    ),
    "InternVideo2": (
        {
            **changed(patch_embed__proj__weight=torch.ones(24, 3, 1, 14, 14)),
            "cls_token": torch.ones(1, 1, 24),
            "clip_projector.norm1_q.weight": torch.ones(24),
            "blocks.0.ls1.weight": torch.ones(24),
        },
        r"\(24, 3, 1, 14, 14\), expected \(24, 3, 2, 16, 16\); the encoder has no "
        r"'blocks.0.ls1.weight', 'clip_projector.norm1_q.weight', 'cls_token'",
    ),
    "mixed prefix": (MIXED, r"names with the prefix .* and without it|Mixed prefixes"),
    "two encoders": (
        {**BARE, **with_prefix("ema.", BARE)},
        "two encoders, or one under mixed prefixes",
    ),
    "patch size": (
        changed(patch_embed__proj__weight=torch.ones(24, 3, 2, 14, 14)),
        r"\(24, 3, 2, 14, 14\), expected \(24, 3, 2, 16, 16\). Choose weights for "
        "patches of this size.",
    ),
    "image size": (
        {**BARE, "pos_embed": positions(800, 24)[None]},
        r"tensor 'pos_embed' is \(1, 800, 24\), expected \(1, 1568, 24\)",
    ),
    "learned positions": (
        {**BARE, "pos_embed": torch.randn(1, 1568, 24)},
        "tensor 'pos_embed' is not the fixed sine-cosine table",
    ),
    "integers": (
        changed(blocks__0__norm1__bias=torch.ones(24, dtype=torch.int64)),
        "tensor 'blocks.0.norm1.bias' has dtype torch.int64, expected one of float32",
    ),
    "not finite": (
        changed(blocks__0__norm1__bias=torch.full((24,), float("nan"))),
        "tensor 'blocks.0.norm1.bias' contains values that are not finite",
    ),
    "a head under another name": (
        {**BARE, "classifier.weight": torch.ones(7, 24), "fc.bias": torch.ones(7)},
        r"no 'classifier.weight', 'fc.bias'. The encoder itself fits. .* save the "
        "state_dict without them: every fold trains its own head, of any size",
    ),
    "another part of an encoder": (
        {**BARE, "blocks.0.gate.weight": torch.ones(7, 24)},
        "Another architecture: choose a VideoMAE of this size",
    ),
    "a missing block": (
        {k: v for k, v in BARE.items() if not k.startswith("blocks.1")},
        r"no tensor 'blocks.1.norm1.weight', .* and 10 more. Pass --allow-missing "
        "blocks.1 if these may keep their random initialization.",
    ),
    "no known tensor": (
        {"conv1.weight": torch.ones(3)},
        "not a video transformer of a known format",
    ),
    "an image ViT of transformers": (
        {
            "vit.embeddings.patch_embeddings.projection.weight": torch.ones(
                24, 3, 16, 16
            )
        },
        "An image model",
    ),
}


@pytest.mark.parametrize("name", INCOMPATIBLE)
def test_incompatible_weights_are_one_line(tmp_path: Path, name: str) -> None:
    tensors, text = INCOMPATIBLE[name]
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=text) as caught:
        reloaded(tmp_path / "w.pth")
    assert str(caught.value).startswith("weights ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [160, 384])
def test_image_size_in_the_stored_options_is_checked(tmp_path: Path, size: int) -> None:
    options = argparse.Namespace(input_size=size)
    torch.save({"model": FINE_TUNED, "args": options}, tmp_path / "w")
    with pytest.raises(WeightsError, match=f"images of {size} px, expected 224"):
        reloaded(tmp_path / "w")
    assert_same(reloaded(tmp_path / "w", new_parts=["pos_embed"]))


def test_only_new_parts_keep_their_random_initialization(tmp_path: Path) -> None:
    tensors = {k: v for k, v in BARE.items() if not k.startswith("blocks.1.mlp")}
    tensors["pos_embed"] = torch.randn(1, 1568, 24)
    torch.save(tensors, tmp_path / "w")
    loaded = weights.load_weights(tmp_path / "w")
    encoder = Encoder(SIZE)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    for part in ("blocks.2", "blocks.1.ml"):
        with pytest.raises(WeightsError, match=f"--allow-missing {part}: no tensor"):
            weights.load_into(encoder, loaded, [part])
    with pytest.raises(WeightsError, match=r"no tensor 'blocks\.1\.mlp"):
        weights.load_into(encoder, loaded, ["pos_embed"])
    match = weights.load_into(encoder, loaded, ["blocks.1.mlp", "pos_embed"])
    assert len(match.new) == 5
    for name, tensor in encoder.state_dict().items():
        expected = before if name.startswith("blocks.1.mlp") else BARE
        assert torch.equal(tensor, expected[name])


def test_another_number_of_attention_heads_has_advice_of_its_own() -> None:
    """The positions have nothing to do with it, and no shape shows it."""
    config = replace(LOADED, source_info=SourceInfo(heads=4))
    match = weights.match_weights(Encoder(SIZE), config)
    assert match.mismatched == ("made for 4 heads, expected 2",)
    assert "number of attention heads" in match.advice
    assert "pos_embed" not in match.advice


@pytest.mark.parametrize("classes", [1, 7, 400])
def test_a_head_of_any_size_is_dropped(tmp_path: Path, classes: int) -> None:
    torch.save({**BARE, **Head(24, classes).state_dict()}, tmp_path / "w")
    assert_same(reloaded(tmp_path / "w"))
