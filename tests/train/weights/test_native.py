"""mmder's own format: what is saved is loaded again, and damage is reported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Head, PoolingConfig, Size
from mmder_train.weights.native import FORMAT_VERSION

SMALL = Size(dim=24, depth=1, heads=2)
METADATA: dict[str, Any] = {"encoder": "tiny", "classes": ["a", "b"]}


def make_encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL)


def saved(path: Path, **metadata: Any) -> Path:
    tensors = weights.to_state_dict(make_encoder(), Head(24, 2))
    weights.save_weights(path, tensors, {**METADATA, **metadata})
    return path


def test_round_trip(tmp_path: Path) -> None:
    loaded = weights.load_weights(saved(tmp_path / "w.safetensors"))
    assert loaded.format == "mmder"
    assert FORMAT_VERSION == 2
    assert loaded.metadata == {"format": 2, **METADATA}
    torch.manual_seed(1)
    other = Encoder(SMALL)
    match = weights.load_into(other, loaded)
    for name, tensor in make_encoder().state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert set(match.matched) == set(other.state_dict())
    assert len(loaded.dropped) == 4
    assert len(loaded.sha256) == 64


def test_settings_of_the_run_are_restored(tmp_path: Path) -> None:
    config = {
        "norm_eps": 1e-3,
        "pool": "mean",
        "pos_embed": False,
        "image_norm": "half",
    }
    loaded = weights.load_weights(saved(tmp_path / "w", config=config))
    assert loaded.readout == PoolingConfig(norm_eps=1e-3, pool="mean", pos_embed=False)
    assert loaded.image_norm == "half"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ('{"format": 9}', "mmder format 9, expected 2"),
        ('{"format": 1}', "mmder format 1, expected 2"),
        ("[1]", "its mmder entry is damaged"),
        ("{", "its mmder entry is damaged"),
        ('{"format": 2, "config": {"norm_eps": "x"}}', "norm_eps is 'x'"),
        ('{"format": 2, "config": {"image_norm": "mine"}}', "image_norm is 'mine'"),
        ('{"format": 2, "config": {"pool": ["mean"]}}', "pool is"),
    ],
)
def test_invalid_metadata_entry(tmp_path: Path, entry: str, text: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata={"mmder": entry})
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(path)
