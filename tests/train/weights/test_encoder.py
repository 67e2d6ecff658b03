"""An encoder with its weights, in one call."""

from pathlib import Path

import pytest
import torch

from mmder_store.errors import WeightsError
from mmder_train import build_encoder, load_encoder
from mmder_train.models.videomae import Head, PoolingConfig
from mmder_train.weights import save_weights, to_state_dict


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    """Return a file with the weights of a random encoder, and the encoder."""
    torch.manual_seed(3)
    encoder = build_encoder("tiny-56", PoolingConfig(norm_eps=1e-5))
    path = tmp_path / "w.safetensors"
    tensors = to_state_dict(encoder, Head(encoder.dim, 7))
    metadata = {"encoder": "tiny-56", "config": {"norm_eps": 1e-5}}
    save_weights(path, tensors, metadata)
    return path, encoder


def test_the_features_are_those_of_the_saved_encoder(
    saved: tuple[Path, torch.nn.Module],
) -> None:
    path, encoder = saved
    loaded = load_encoder(str(path))
    x = torch.randn(2, 3, 16, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(x), encoder.eval()(x))
    assert not loaded.training


def test_weights_of_another_encoder_are_refused(
    saved: tuple[Path, torch.nn.Module],
) -> None:
    with pytest.raises(WeightsError, match="Pass --encoder tiny-56"):
        load_encoder(str(saved[0]), encoder="small")
