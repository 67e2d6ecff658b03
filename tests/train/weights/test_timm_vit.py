"""Inflated image transformers compute the same as those of timm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Size
from weight_files import SIZE, randomize


@pytest.fixture
def image_model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a builder of a small timm model, and make `timm:NAME` build it too."""
    make = timm.create_model

    def create(name: str, **options: Any) -> Any:
        del name
        small = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 224}
        return make("vit_tiny_patch16_224", **{**small, **options})

    monkeypatch.setattr(timm, "create_model", create)
    return create


def test_a_clip_of_identical_frames_embeds_as_the_image(
    tmp_path: Path, image_model: Callable[..., Any]
) -> None:
    model = randomize(image_model("", pretrained=False, num_classes=7))
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    spec = f"timm:vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}"
    loaded = weights.load_weights(spec)
    assert loaded.name == "timm:vit_tiny_patch16_224"
    assert loaded.format == "timm image ViT"
    assert loaded.image_norm == "half"
    assert loaded.source_info.heads == 2
    encoder = Encoder(SIZE, loaded.readout)
    weights.load_into(encoder, loaded)
    image = torch.randn(1, 3, 224, 224)
    clip = image[:, :, None].expand(1, 3, 16, 224, 224)
    with torch.no_grad():
        theirs = model.patch_embed(image)
        ours = encoder.patch_embed(clip).view(1, 8, 196, 24)
        for tubelet in ours.unbind(1):
            torch.testing.assert_close(tubelet, theirs, rtol=1e-4, atol=1e-4)
        x = torch.randn(1, 9, 24)
        torch.testing.assert_close(
            encoder.blocks[0](x), model.blocks[0](x), rtol=1e-4, atol=1e-4
        )
    names = " ".join(loaded.dropped)
    assert "cls_token" in names
    assert "pos_embed" in names
    assert "head of 7 classes; every fold trains its own" in loaded.dropped.values()


def test_layer_scale_is_kept(tmp_path: Path, image_model: Callable[..., Any]) -> None:
    model = randomize(image_model("", pretrained=False, init_values=0.1))
    save_file(model.state_dict(), tmp_path / "w")
    loaded = weights.load_weights(f"timm:vit_tiny_patch16_224@{tmp_path / 'w'}")
    encoder = Encoder(SIZE, loaded.readout)
    weights.load_into(encoder, loaded)
    x = torch.randn(1, 9, 24)
    with torch.no_grad():
        ours, theirs = encoder.blocks[1](x), model.blocks[1](x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_number_of_heads_comes_from_timm(tmp_path: Path) -> None:
    """The tensors do not show it, but the model of timm does."""
    model = timm.create_model("vit_tiny_patch16_224", depth=2)
    save_file(model.state_dict(), tmp_path / "w")
    loaded = weights.load_weights(f"timm:vit_tiny_patch16_224@{tmp_path / 'w'}")
    with pytest.raises(WeightsError, match="made for 3 heads, expected 4"):
        weights.load_into(Encoder(Size(dim=192, depth=2, heads=4)), loaded)
    weights.load_into(Encoder(Size(dim=192, depth=2, heads=3)), loaded)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_model", "timm has no such model"),
        ("resnet18", "a ResNet with another architecture"),
        ("vit_base_patch16_dinov3", "a Eva with another architecture"),
        ("vit_base_patch16_clip_quickgelu_224", "another architecture than VideoMAE"),
    ],
)
def test_other_models_of_timm_are_refused(name: str, text: str) -> None:
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(f"timm:{name}@nowhere")
