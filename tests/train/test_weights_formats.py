"""Every way to name the official tensors leads to the same encoder, or to one line."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models import mae_dfer
from mmder_train.models.registry import ENCODERS
from mmder_train.models.videomae import Encoder, Head, Size, positions
from mmder_train.weights.qkv import merge_qkv

SIZE = Size(dim=24, depth=2, heads=2)
Tensors = dict[str, Tensor]


def randomised(encoder: torch.nn.Module) -> Any:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in encoder.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=draw))
    return encoder


ORIGINAL: Encoder = randomised(Encoder(SIZE))
BARE: Tensors = ORIGINAL.state_dict()
FINE = {**BARE, **Head(24, 400).state_dict()}
PRE = {
    **{f"encoder.{name}": tensor for name, tensor in BARE.items()},
    "encoder.norm.weight": torch.ones(24),
    "encoder.norm.bias": torch.ones(24),
    "mask_token": torch.ones(1, 1, 12),
    "encoder_to_decoder.weight": torch.ones(12, 24),
    "decoder.blocks.0.attn.qkv.weight": torch.ones(36, 12),
    "decoder.blocks.0.attn.q_bias": torch.ones(12),
    "decoder.norm.weight": torch.ones(12),
    "decoder.head.weight": torch.ones(1536, 12),
}


def with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def replaced(tensors: Tensors, *pairs: tuple[str, str]) -> Tensors:
    out = {}
    for name, tensor in tensors.items():
        for old, new in pairs:
            name = name.replace(old, new)
        out[name] = tensor
    return out


def marlin(prefix: str) -> Tensors:
    names = replaced(
        BARE,
        ("patch_embed.proj", "patch_embedding.projection"),
        ("mlp.fc1", "mlp.layers.0.linear"),
        ("mlp.fc2", "mlp.layers.1.linear"),
    )
    table = positions(1568, 24)[None]
    more = {"pos_embedding.emb": table, "norm.weight": torch.ones(24)}
    return with_prefix(prefix, {**names, **more})


MMACTION = {
    **with_prefix(
        "backbone.",
        replaced(
            BARE,
            ("patch_embed.proj", "patch_embed.projection"),
            ("mlp.fc1", "mlp.layers.0.0"),
            ("mlp.fc2", "mlp.layers.1"),
        ),
    ),
    "backbone.pos_embed": positions(1568, 24)[None],
    "backbone.fc_norm.weight": torch.ones(24),
    "cls_head.fc_cls.weight": torch.ones(400, 24),
}
OPTIONS = argparse.Namespace(input_size=224, num_frames=16, model="pretrain_x")
SOURCES: dict[str, tuple[Any, str]] = {
    "pre-training": ({"model": PRE, "epoch": 799, "args": OPTIONS}, "VideoMAE"),
    "fine-tuning": ({"model": FINE, "optimizer": {"state": {}}}, "VideoMAE"),
    "module": ({"module": FINE}, "VideoMAE"),
    "bare": (FINE, "VideoMAE"),
    "state_dict": ({"state_dict": FINE}, "VideoMAE"),
    "V2 of Hugging Face": (with_prefix("model.", BARE), "VideoMAE"),
    "DDP": ({"model": with_prefix("module.", FINE)}, "VideoMAE"),
    "DDP pre-training": (with_prefix("module.", PRE), "VideoMAE"),
    "compiled": (with_prefix("_orig_mod.", PRE), "VideoMAE"),
    "compiled DDP": (with_prefix("module._orig_mod.", FINE), "VideoMAE"),
    "MARLIN": (marlin("encoder."), "MARLIN"),
    "MARLIN of Hugging Face": (marlin("marlin.encoder."), "MARLIN"),
    "MMAction2": ({"meta": {"epoch": 1}, "state_dict": MMACTION}, "MMAction2"),
}


def refilled(path: Path, **more: Any) -> Tensors:
    found = weights.load_weights(path)
    torch.manual_seed(5)
    encoder = Encoder(SIZE, found.readout)
    weights.load_into(encoder, found, **more)
    return encoder.state_dict()


def assert_same(found: Tensors) -> None:
    assert found.keys() == BARE.keys()
    for name, tensor in BARE.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", SOURCES)
def test_pickles(tmp_path: Path, name: str) -> None:
    held, form = SOURCES[name]
    torch.save(held, tmp_path / "w.pth")
    assert weights.load_weights(tmp_path / "w.pth").format == form
    assert_same(refilled(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["pre-training", "bare", "MMAction2"])
def test_pickles_of_before_torch_1_6(tmp_path: Path, name: str) -> None:
    held, _ = SOURCES[name]
    torch.save(held, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert_same(refilled(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["bare", "DDP pre-training", "MARLIN"])
def test_the_same_as_safetensors(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({k: v.clone() for k, v in SOURCES[name][0].items()}, path)
    assert weights.load_weights(path).format == SOURCES[name][1]
    assert_same(refilled(path))


@pytest.mark.parametrize(
    ("name", "epsilon", "statistics"),
    [
        ("pre-training", 1e-6, "imagenet"),
        ("MARLIN", 1e-5, "none"),
        ("MMAction2", 1e-6, "imagenet"),
    ],
)
def test_what_each_source_expects(
    tmp_path: Path, name: str, epsilon: float, statistics: str
) -> None:
    torch.save(SOURCES[name][0], tmp_path / "w")
    found = weights.load_weights(tmp_path / "w")
    assert found.readout.norm_eps == epsilon
    assert found.image_norm == statistics
    assert found.readout.pos_embed


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w"
    torch.save({"model": FINE, "optimizer": {}, "args": OPTIONS}, path)
    assert weights.load_weights(path).dropped == {
        "fc_norm.weight": "norm before the head; every fold trains its own",
        "fc_norm.bias": "norm before the head; every fold trains its own",
        "head.weight": "head of 400 classes; every fold trains its own",
        "head.bias": "head of 400 classes; every fold trains its own",
        "optimizer": "beside the model, which lies under 'model'",
        "args": "beside the model, which lies under 'model'",
    }
    torch.save({"model": PRE}, path)
    left = weights.load_weights(path).dropped
    assert len(left) == len(PRE) - len(BARE)
    assert left["decoder.head.weight"] == "decoder of the pre-training"
    assert "the head norms their mean instead" in left["encoder.norm.bias"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_32_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({name: t.to(dtype) for name, t in BARE.items()}, tmp_path / "w")
    for name, tensor in refilled(tmp_path / "w").items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, BARE[name].to(dtype).float())


def test_mae_dfer(tmp_path: Path) -> None:
    original = mae_dfer.Encoder(ENCODERS["mae-dfer"].readout, depth=2)
    tensors = original.state_dict()
    torch.save(
        {
            "model": {
                **with_prefix("encoder.", tensors),
                "encoder.norm.weight": torch.ones(512),
                "decoder.norm.weight": torch.ones(384),
                "mask_token": torch.ones(1, 1, 384),
            },
            "args": argparse.Namespace(input_size=160, num_frames=16),
        },
        tmp_path / "w.pth",
    )
    found = weights.load_weights(tmp_path / "w.pth")
    assert found.encoder == "mae-dfer"
    assert found.readout == ENCODERS["mae-dfer"].readout
    other = mae_dfer.Encoder(found.readout, depth=2)
    fit = weights.load_into(other, found)
    assert set(fit.matched) == set(tensors)
    assert all(torch.equal(other.state_dict()[k], v) for k, v in tensors.items())
    with pytest.raises(WeightsError, match=r"Say --encoder mae-dfer\."):
        weights.load_into(Encoder(SIZE), found)


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large", "huge"])
def test_the_encoder_is_recognised(tmp_path: Path, name: str) -> None:
    """By the first block and, for its depth, the biases of all."""
    kept = {
        key: torch.zeros(like.shape, dtype=torch.float16)
        for key, like in weights.build_empty(name).state_dict().items()
        if like.ndim == 1 or key.startswith(("patch_embed", "blocks.0."))
    }
    torch.save(kept, tmp_path / "w")
    assert weights.load_weights(tmp_path / "w").encoder == name


def changed(**change: Tensor | None) -> Tensors:
    out = dict(BARE)
    for name, tensor in change.items():
        full = name.replace("__", ".")
        if tensor is None:
            del out[full]
        else:
            out[full] = tensor
    return out


MIXED = {
    (name if k % 3 else f"module.{name}"): tensor
    for k, (name, tensor) in enumerate(BARE.items())
}
CLS = {
    **changed(patch_embed__proj__weight=torch.ones(24, 3, 16, 16)),
    "cls_token": torch.ones(1, 1, 24),
}
BAD: dict[str, tuple[Tensors, str]] = {
    "image ViT": (
        CLS,
        r"tensor 'patch_embed.proj.weight' is \(24, 3, 16, 16\), expected "
        r"\(24, 3, 2, 16, 16\); no place for 'cls_token'. An image model: say "
        r"--weights timm:NAME@FILE.",
    ),
    "InternVideo2": (
        {
            **changed(patch_embed__proj__weight=torch.ones(24, 3, 1, 14, 14)),
            "cls_token": torch.ones(1, 1, 24),
            "clip_projector.norm1_q.weight": torch.ones(24),
            "blocks.0.ls1.weight": torch.ones(24),
        },
        r"\(24, 3, 1, 14, 14\), expected \(24, 3, 2, 16, 16\); no place for "
        r"'blocks.0.ls1.weight', 'clip_projector.norm1_q.weight', 'cls_token'",
    ),
    "mixed prefix": (MIXED, r"names with the prefix .* and without it|Mixed prefixes"),
    "two encoders": (
        {**BARE, **with_prefix("ema.", BARE)},
        "two encoders, or one under mixed prefixes",
    ),
    "patch size": (
        changed(patch_embed__proj__weight=torch.ones(24, 3, 2, 14, 14)),
        r"\(24, 3, 2, 14, 14\), expected \(24, 3, 2, 16, 16\). Choose weights made "
        "for patches of this size.",
    ),
    "picture size": (
        {**BARE, "pos_embed": positions(800, 24)[None]},
        r"tensor 'pos_embed' is \(1, 800, 24\), expected \(1, 1568, 24\)",
    ),
    "learned positions": (
        {**BARE, "pos_embed": torch.randn(1, 1568, 24)},
        "tensor 'pos_embed' is not the fixed sine-cosine table",
    ),
    "integers": (
        changed(blocks__0__norm1__bias=torch.ones(24, dtype=torch.int64)),
        "tensor 'blocks.0.norm1.bias' holds torch.int64, expected one of float32",
    ),
    "not finite": (
        changed(blocks__0__norm1__bias=torch.full((24,), float("nan"))),
        "tensor 'blocks.0.norm1.bias' holds numbers that are not finite",
    ),
    "a missing block": (
        {k: v for k, v in BARE.items() if not k.startswith("blocks.1")},
        r"no tensor 'blocks.1.norm1.weight', .* and 10 more. Say --allow-missing blocks.1 "
        "if these may start at random.",
    ),
    "nothing of it": ({"conv1.weight": torch.ones(3)}, "no video transformer of a"),
    "an image ViT of transformers": (
        {
            "vit.embeddings.patch_embeddings.projection.weight": torch.ones(
                24, 3, 16, 16
            )
        },
        "An image model",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(tmp_path: Path, name: str) -> None:
    tensors, text = BAD[name]
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=text) as told:
        refilled(tmp_path / "w.pth")
    assert str(told.value).startswith("weights ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("size", [160, 384])
def test_the_options_in_a_file_tell_its_pictures(tmp_path: Path, size: int) -> None:
    options = argparse.Namespace(input_size=size)
    torch.save({"model": FINE, "args": options}, tmp_path / "w")
    with pytest.raises(WeightsError, match=f"pictures of {size} px, expected 224"):
        refilled(tmp_path / "w")
    assert_same(refilled(tmp_path / "w", new_parts=["pos_embed"]))


def test_new_parts_start_at_random_and_the_rest_does_not(tmp_path: Path) -> None:
    tensors = {k: v for k, v in BARE.items() if not k.startswith("blocks.1.mlp")}
    tensors["pos_embed"] = torch.randn(1, 1568, 24)
    torch.save(tensors, tmp_path / "w")
    found = weights.load_weights(tmp_path / "w")
    encoder = Encoder(SIZE)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    for part in ("blocks.2", "blocks.1.ml"):
        with pytest.raises(WeightsError, match=f"--allow-missing {part}: no tensor"):
            weights.load_into(encoder, found, [part])
    with pytest.raises(WeightsError, match=r"no tensor 'blocks\.1\.mlp"):
        weights.load_into(encoder, found, ["pos_embed"])
    fit = weights.load_into(encoder, found, ["blocks.1.mlp", "pos_embed"])
    assert len(fit.new) == 5
    for name, tensor in encoder.state_dict().items():
        same = before if name.startswith("blocks.1.mlp") else BARE
        assert torch.equal(tensor, same[name])


def attention(tensors: Tensors, x: Tensor) -> Tensor:
    """One block's attention by the formula, with whatever biases there are."""
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
    """A bias of the keys drops out; a scale goes into the layer before it."""
    draw = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    theirs = {
        "blocks.0.attn.qkv.weight": some(72, 24) / 5,
        "blocks.0.attn.qkv.bias": some(72),
        "blocks.0.attn.proj.weight": some(24, 24),
        "blocks.0.attn.proj.bias": some(24),
        "blocks.0.ls1.gamma": some(24),
    }
    ours, left_out = merge_qkv(theirs)
    assert set(ours) == {
        f"blocks.0.attn.{name}"
        for name in ("qkv.weight", "q_bias", "v_bias", "proj.weight", "proj.bias")
    }
    assert len(left_out) == 1
    x = some(7, 24)
    torch.testing.assert_close(
        attention(ours, x), attention(theirs, x), rtol=1e-9, atol=1e-9
    )


# --- timm ---------------------------------------------------------------------------


@pytest.fixture
def image_model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make a small timm model, which `timm:NAME` then stands for."""
    make = timm.create_model

    def create(name: str, **more: Any) -> Any:
        del name
        small = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 224}
        return make("vit_tiny_patch16_224", **{**small, **more})

    monkeypatch.setattr(timm, "create_model", create)
    return create


def test_a_still_clip_embeds_as_its_picture(
    tmp_path: Path, image_model: Callable[..., Any]
) -> None:
    model = randomised(image_model("", pretrained=False, num_classes=7))
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    spec = f"timm:vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}"
    found = weights.load_weights(spec)
    assert found.name == "timm:vit_tiny_patch16_224"
    assert found.format == "timm image ViT"
    assert found.image_norm == "half"
    assert found.facts.heads == 2
    encoder = Encoder(SIZE, found.readout)
    weights.load_into(encoder, found)
    picture = torch.randn(1, 3, 224, 224)
    clip = picture[:, :, None].expand(1, 3, 16, 224, 224)
    with torch.no_grad():
        theirs = model.patch_embed(picture)
        ours = encoder.patch_embed(clip).view(1, 8, 196, 24)
        for instant in ours.unbind(1):
            torch.testing.assert_close(instant, theirs, rtol=1e-4, atol=1e-4)
        x = torch.randn(1, 9, 24)
        torch.testing.assert_close(
            encoder.blocks[0](x), model.blocks[0](x), rtol=1e-4, atol=1e-4
        )
    told = " ".join(found.dropped)
    assert "cls_token" in told
    assert "pos_embed" in told
    assert "head of 7 classes; every fold trains its own" in found.dropped.values()


def test_a_scale_after_a_layer_is_kept(
    tmp_path: Path, image_model: Callable[..., Any]
) -> None:
    model = randomised(image_model("", pretrained=False, init_values=0.1))
    save_file(model.state_dict(), tmp_path / "w")
    found = weights.load_weights(f"timm:vit_tiny_patch16_224@{tmp_path / 'w'}")
    encoder = Encoder(SIZE, found.readout)
    weights.load_into(encoder, found)
    x = torch.randn(1, 9, 24)
    with torch.no_grad():
        ours, theirs = encoder.blocks[1](x), model.blocks[1](x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_heads_are_those_of_timm(tmp_path: Path) -> None:
    """Tensors do not show them: timm's model does."""
    model = timm.create_model("vit_tiny_patch16_224", depth=2)
    save_file(model.state_dict(), tmp_path / "w")
    found = weights.load_weights(f"timm:vit_tiny_patch16_224@{tmp_path / 'w'}")
    with pytest.raises(WeightsError, match="made for 3 heads, expected 4"):
        weights.load_into(Encoder(Size(dim=192, depth=2, heads=4)), found)
    weights.load_into(Encoder(Size(dim=192, depth=2, heads=3)), found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_model", "timm has no such model"),
        ("resnet18", "a ResNet of another make"),
        ("vit_base_patch16_dinov3", "a Eva of another make"),
        ("vit_base_patch16_clip_quickgelu_224", "of another make than VideoMAE"),
    ],
)
def test_other_models_of_timm(name: str, text: str) -> None:
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(f"timm:{name}@nowhere")
