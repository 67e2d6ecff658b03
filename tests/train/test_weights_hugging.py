"""Files of Hugging Face, with transformers itself as the oracle."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEModel,
)

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Head, Size

SIZE = Size(dim=48, depth=2, heads=2)
CONFIG: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 192,
    "decoder_hidden_size": 24,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 96,
    "num_labels": 5,
    "layer_norm_eps": 1e-4,
}
CLIP = torch.randn(1, 3, 16, 224, 224, generator=torch.Generator().manual_seed(7))


def randomised(model: Any) -> Any:
    """Leave no bias at zero, no norm at one: nothing may hide behind them."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in model.parameters():
            spread = 0.1 if tensor.ndim == 1 else 0.02
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * spread)
            if tensor.ndim == 1:
                tensor.add_(0.5)
    return model.eval()


def saved(folder: Path, kind: Any, **more: Any) -> Any:
    model = randomised(kind(VideoMAEConfig(**{**CONFIG, **more})))
    model.save_pretrained(folder)
    return model


def loaded(path: Path) -> Encoder:
    found = weights.load_weights(path)
    encoder = Encoder(SIZE, found.readout)
    weights.load_into(encoder, found)
    return encoder.eval()


@torch.no_grad()
def assert_same_tokens(model: Any, encoder: Encoder) -> None:
    base = getattr(model, "videomae", model)
    theirs = base(CLIP.transpose(1, 2)).last_hidden_state
    ours = encoder.tokens(CLIP)
    if base.layernorm is not None:
        ours = base.layernorm(ours)
    assert (ours - theirs).abs().max() < 1e-5


def renamed(folder: Path, old: str, new: str) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    assert any(old in name for name in tensors) or any(new in name for name in tensors)
    save_file({name.replace(old, new): t for name, t in tensors.items()}, path)


@pytest.mark.parametrize(
    "kind", [VideoMAEForVideoClassification, VideoMAEForPreTraining, VideoMAEModel]
)
def test_a_folder_of_save_pretrained(tmp_path: Path, kind: Any) -> None:
    model = saved(tmp_path, kind)
    found = weights.load_weights(tmp_path)
    assert found.format == "Hugging Face VideoMAE"
    assert found.readout.norm_eps == 1e-4
    assert found.facts.heads == 2
    assert_same_tokens(model, loaded(tmp_path))
    left = " ".join(found.dropped.values())
    assert ("head of 5 classes" in left) == (kind is VideoMAEForVideoClassification)
    assert ("decoder" in left) == (kind is VideoMAEForPreTraining)


@pytest.mark.parametrize("to_five", [False, True])
def test_names_of_4_and_of_5(tmp_path: Path, *, to_five: bool) -> None:
    model = saved(tmp_path, VideoMAEForVideoClassification)
    pair = ("attention.q_bias", "attention.query.bias")
    pair = pair if to_five else pair[::-1]
    renamed(tmp_path, *pair)
    renamed(tmp_path, *(n.replace("query", "value").replace("q_", "v_") for n in pair))
    names = load_file(tmp_path / "model.safetensors")
    assert sum(pair[1] in name for name in names) == 2
    assert_same_tokens(model, loaded(tmp_path))


def test_a_bias_of_the_keys_changes_nothing(tmp_path: Path) -> None:
    """Files may hold one; dropped, the very same numbers come out."""
    model = saved(tmp_path, VideoMAEForVideoClassification)
    path = tmp_path / "model.safetensors"
    draw = torch.Generator().manual_seed(2)
    tensors = load_file(path)
    for layer in range(2):
        name = f"videomae.encoder.layer.{layer}.attention.attention.key"
        bias = torch.randn(48, generator=draw)
        tensors[f"{name}.bias"] = bias
        attention = model.videomae.encoder.layer[layer].attention.attention
        attention.key.bias = torch.nn.Parameter(bias)
    save_file(tensors, path)
    found = weights.load_weights(tmp_path)
    assert sum("softmax" in why for why in found.dropped.values()) == 2
    assert_same_tokens(model, loaded(tmp_path))


def test_the_other_files_of_a_model(tmp_path: Path) -> None:
    """In parts, as a pickle, and each file by itself."""
    model = saved(tmp_path, VideoMAEForVideoClassification)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert_same_tokens(model, loaded(tmp_path))
    assert_same_tokens(model, loaded(tmp_path / "pytorch_model.bin"))
    (tmp_path / "pytorch_model.bin").unlink()

    model.save_pretrained(tmp_path, max_shard_size="100kB")
    index = tmp_path / "model.safetensors.index.json"
    parts = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(parts) > 1
    assert_same_tokens(model, loaded(tmp_path))
    assert_same_tokens(model, loaded(index))
    assert len(weights.load_weights(index).sha256) == 64
    parts[0].unlink()
    with pytest.raises(WeightsError, match="does not lie beside it"):
        weights.load_weights(tmp_path)


def test_an_index_names_nothing_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    index = tmp_path / "inner" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../x.safetensors"}}))
    with pytest.raises(WeightsError, match="does not lie beside it"):
        weights.load_weights(index)


def test_our_numbers_in_their_model(tmp_path: Path) -> None:
    """The other way: our encoder and head, saved, loaded by transformers."""
    torch.manual_seed(3)
    encoder, head = randomised(Encoder(SIZE)), randomised(Head(48, 5))
    weights.save_weights(tmp_path / "ours", weights.to_state_dict(encoder, head), {})
    tensors = load_file(tmp_path / "ours")
    theirs = {}
    for name, tensor in tensors.items():
        new = name.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
        for old, word in (
            ("blocks.", "encoder.layer."),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("attn.proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
            ("attn.", "attention.attention."),
            ("head.", "classifier."),
        ):
            new = new.replace(old, word)
        inside = "" if name.startswith(("fc_norm", "head")) else "videomae."
        if name.endswith("qkv.weight"):
            for part, rows in zip(
                ("query", "key", "value"), tensor.chunk(3), strict=True
            ):
                theirs[inside + new.replace("qkv", part)] = rows.contiguous()
        else:
            theirs[inside + new] = tensor
    folder = tmp_path / "theirs"
    VideoMAEConfig(**{**CONFIG, "layer_norm_eps": 1e-6}).save_pretrained(folder)
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    read: Any = VideoMAEForVideoClassification
    model, told = read.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    with torch.no_grad():
        # Their norm before the head has torch's epsilon.
        model.fc_norm.eps = 1e-6
        logits = model.eval()(CLIP.transpose(1, 2)).logits
        assert (head(encoder(CLIP)) - logits).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image_size": 112}, "made for pictures of 112 px, expected 224"),
        ({"num_frames": 8}, "made for clips of 8 frames, expected 16"),
        ({"num_attention_heads": 4}, "made for 4 heads, expected 2"),
        ({"patch_size": 32}, r"\(48, 3, 2, 32, 32\), expected \(48, 3, 2, 16, 16\)"),
        ({"intermediate_size": 96}, r"'blocks.0.mlp.fc1.\w+' is \(96"),
        ({"hidden_act": "relu"}, "hidden_act 'relu', expected 'gelu'"),
    ],
)
def test_models_of_another_make(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    saved(tmp_path, VideoMAEForVideoClassification, **change)
    with pytest.raises(WeightsError, match=text) as told:
        loaded(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, "half"),
        ({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.225] * 3}, "release"),
        ({"do_normalize": False}, "none"),
        ({}, "imagenet"),
        ({"image_mean": [0.1] * 3, "image_std": [9.0] * 3}, "imagenet"),
    ],
)
def test_statistics_come_from_the_preprocessor(
    tmp_path: Path, said: dict[str, Any], name: str
) -> None:
    saved(tmp_path, VideoMAEModel)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = weights.load_weights(tmp_path)
    assert found.image_norm == name
    told = found.dropped.get("statistics of its pictures", "")
    assert ("imagenet instead" in told) == (said.get("image_std") == [9.0] * 3)
