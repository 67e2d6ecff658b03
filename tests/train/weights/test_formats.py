"""Every naming scheme of the official tensors loads into the same encoder."""

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models import mae_dfer
from mmder_train.models.registry import ENCODERS
from mmder_train.models.videomae import Encoder
from weight_files import (
    BARE,
    FINE_TUNED,
    OPTIONS,
    PRE_TRAINED,
    SIZE,
    SOURCES,
    assert_same,
    reloaded,
    with_prefix,
)


@pytest.mark.parametrize("name", SOURCES)
def test_pickles(tmp_path: Path, name: str) -> None:
    content, fmt = SOURCES[name]
    torch.save(content, tmp_path / "w.pth")
    assert weights.load_weights(tmp_path / "w.pth").format == fmt
    assert_same(reloaded(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["pre-training", "bare", "MMAction2"])
def test_pickles_of_torch_before_1_6(tmp_path: Path, name: str) -> None:
    content, _ = SOURCES[name]
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert_same(reloaded(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["bare", "DDP pre-training", "MARLIN"])
def test_safetensors(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({k: v.clone() for k, v in SOURCES[name][0].items()}, path)
    assert weights.load_weights(path).format == SOURCES[name][1]
    assert_same(reloaded(path))


def test_dropped_tensors_have_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "w"
    torch.save({"model": FINE_TUNED, "optimizer": {}, "args": OPTIONS}, path)
    assert weights.load_weights(path).dropped == {
        "fc_norm.weight": "norm before the head; every fold trains its own",
        "fc_norm.bias": "norm before the head; every fold trains its own",
        "head.weight": "head of 400 classes; every fold trains its own",
        "head.bias": "head of 400 classes; every fold trains its own",
        "optimizer": "outside the model, which is under 'model'",
        "args": "outside the model, which is under 'model'",
    }
    torch.save({"model": PRE_TRAINED}, path)
    dropped = weights.load_weights(path).dropped
    assert len(dropped) == len(PRE_TRAINED) - len(BARE)
    assert dropped["decoder.head.weight"] == "decoder of the pre-training"
    assert "the head normalizes their mean instead" in dropped["encoder.norm.bias"]


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
    loaded = weights.load_weights(tmp_path / "w.pth")
    assert loaded.encoder == "mae-dfer"
    assert loaded.readout == ENCODERS["mae-dfer"].readout
    other = mae_dfer.Encoder(loaded.readout, depth=2)
    match = weights.load_into(other, loaded)
    assert set(match.matched) == set(tensors)
    assert all(torch.equal(other.state_dict()[k], v) for k, v in tensors.items())
    with pytest.raises(WeightsError, match=r"Pass --encoder mae-dfer\."):
        weights.load_into(Encoder(SIZE), loaded)
