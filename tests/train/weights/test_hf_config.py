"""Files of Hugging Face, compared with the output of transformers."""

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


def randomize(model: Any) -> Any:
    """Fill all parameters with noise, so that no bias is 0 and no norm weight is 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in model.parameters():
            std = 0.1 if tensor.ndim == 1 else 0.02
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)
            if tensor.ndim == 1:
                tensor.add_(0.5)
    return model.eval()


def saved(folder: Path, model_class: Any, **changes: Any) -> Any:
    model = randomize(model_class(VideoMAEConfig(**{**CONFIG, **changes})))
    model.save_pretrained(folder)
    return model


def load_encoder(path: Path) -> Encoder:
    loaded = weights.load_weights(path)
    encoder = Encoder(SIZE, loaded.readout)
    weights.load_into(encoder, loaded)
    return encoder.eval()


@torch.no_grad()
def assert_same_tokens(model: Any, encoder: Encoder) -> None:
    base = getattr(model, "videomae", model)
    theirs = base(CLIP.transpose(1, 2)).last_hidden_state
    ours = encoder.tokens(CLIP)
    if base.layernorm is not None:
        ours = base.layernorm(ours)
    assert (ours - theirs).abs().max() < 1e-5


def rename_tensors(folder: Path, old: str, new: str) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    assert any(old in name for name in tensors) or any(new in name for name in tensors)
    save_file({name.replace(old, new): t for name, t in tensors.items()}, path)


@pytest.mark.parametrize(
    "model_class",
    [VideoMAEForVideoClassification, VideoMAEForPreTraining, VideoMAEModel],
)
def test_a_folder_of_save_pretrained(tmp_path: Path, model_class: Any) -> None:
    model = saved(tmp_path, model_class)
    loaded = weights.load_weights(tmp_path)
    assert loaded.format == "Hugging Face VideoMAE"
    assert loaded.readout.norm_eps == 1e-4
    assert loaded.source_info.heads == 2
    assert_same_tokens(model, load_encoder(tmp_path))
    reasons = " ".join(loaded.dropped.values())
    is_classifier = model_class is VideoMAEForVideoClassification
    assert ("head of 5 classes" in reasons) == is_classifier
    assert ("decoder" in reasons) == (model_class is VideoMAEForPreTraining)


@pytest.mark.parametrize("to_five", [False, True])
def test_names_of_transformers_4_and_5(tmp_path: Path, *, to_five: bool) -> None:
    model = saved(tmp_path, VideoMAEForVideoClassification)
    pair = ("attention.q_bias", "attention.query.bias")
    pair = pair if to_five else pair[::-1]
    rename_tensors(tmp_path, *pair)
    rename_tensors(
        tmp_path, *(n.replace("query", "value").replace("q_", "v_") for n in pair)
    )
    names = load_file(tmp_path / "model.safetensors")
    assert sum(pair[1] in name for name in names) == 2
    assert_same_tokens(model, load_encoder(tmp_path))


def test_a_bias_of_the_keys_does_not_change_the_output(tmp_path: Path) -> None:
    """A file may contain one. Without it, the output is the same."""
    model = saved(tmp_path, VideoMAEForVideoClassification)
    path = tmp_path / "model.safetensors"
    generator = torch.Generator().manual_seed(2)
    tensors = load_file(path)
    for layer in range(2):
        name = f"videomae.encoder.layer.{layer}.attention.attention.key"
        bias = torch.randn(48, generator=generator)
        tensors[f"{name}.bias"] = bias
        attention = model.videomae.encoder.layer[layer].attention.attention
        attention.key.bias = torch.nn.Parameter(bias)
    save_file(tensors, path)
    loaded = weights.load_weights(tmp_path)
    assert sum("softmax" in reason for reason in loaded.dropped.values()) == 2
    assert_same_tokens(model, load_encoder(tmp_path))


def test_pickles_and_shards_of_a_model(tmp_path: Path) -> None:
    """As a folder, as a file, and as an index."""
    model = saved(tmp_path, VideoMAEForVideoClassification)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert_same_tokens(model, load_encoder(tmp_path))
    assert_same_tokens(model, load_encoder(tmp_path / "pytorch_model.bin"))
    (tmp_path / "pytorch_model.bin").unlink()

    model.save_pretrained(tmp_path, max_shard_size="100kB")
    index = tmp_path / "model.safetensors.index.json"
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert_same_tokens(model, load_encoder(tmp_path))
    assert_same_tokens(model, load_encoder(index))
    assert len(weights.load_weights(index).sha256) == 64
    shards[0].unlink()
    with pytest.raises(WeightsError, match="which is not in its folder"):
        weights.load_weights(tmp_path)


def test_saved_weights_in_a_transformers_model(tmp_path: Path) -> None:
    """The reverse: our encoder and head are saved and loaded by transformers."""
    torch.manual_seed(3)
    encoder, head = randomize(Encoder(SIZE)), randomize(Head(48, 5))
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
        prefix = "" if name.startswith(("fc_norm", "head")) else "videomae."
        if name.endswith("qkv.weight"):
            for part, rows in zip(
                ("query", "key", "value"), tensor.chunk(3), strict=True
            ):
                theirs[prefix + new.replace("qkv", part)] = rows.contiguous()
        else:
            theirs[prefix + new] = tensor
    folder = tmp_path / "theirs"
    VideoMAEConfig(**{**CONFIG, "layer_norm_eps": 1e-6}).save_pretrained(folder)
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    model_class: Any = VideoMAEForVideoClassification
    model, info = model_class.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        # The norm before their head has the default epsilon of torch.
        model.fc_norm.eps = 1e-6
        logits = model.eval()(CLIP.transpose(1, 2)).logits
        assert (head(encoder(CLIP)) - logits).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image_size": 112}, "made for images of 112 px, expected 224"),
        ({"num_frames": 8}, "made for clips of 8 frames, expected 16"),
        ({"num_attention_heads": 4}, "made for 4 heads, expected 2"),
        ({"patch_size": 32}, r"\(48, 3, 2, 32, 32\), expected \(48, 3, 2, 16, 16\)"),
        ({"intermediate_size": 96}, r"'blocks.0.mlp.fc1.\w+' is \(96"),
        ({"hidden_act": "relu"}, "hidden_act 'relu', expected 'gelu'"),
    ],
)
def test_other_architectures_are_refused(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    saved(tmp_path, VideoMAEForVideoClassification, **change)
    with pytest.raises(WeightsError, match=text) as caught:
        load_encoder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, "half"),
        ({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.225] * 3}, "release"),
        ({"do_normalize": False}, "none"),
        ({}, "imagenet"),
        ({"image_mean": [0.1] * 3, "image_std": [9.0] * 3}, "imagenet"),
    ],
)
def test_image_norm_comes_from_the_preprocessor(
    tmp_path: Path, config: dict[str, Any], name: str
) -> None:
    saved(tmp_path, VideoMAEModel)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    loaded = weights.load_weights(tmp_path)
    assert loaded.image_norm == name
    reason = loaded.dropped.get("image normalization", "")
    is_unknown = config.get("image_std") == [9.0] * 3
    assert ("imagenet is used instead" in reason) == is_unknown
