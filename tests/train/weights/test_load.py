"""Defaults of each source: LayerNorm epsilon, positions and image normalization."""

from pathlib import Path

import pytest
import torch

from mmder_train import weights
from weight_files import SOURCES


@pytest.mark.parametrize(
    ("name", "norm_eps", "image_norm"),
    [
        ("pre-training", 1e-6, "imagenet"),
        ("MARLIN", 1e-5, "none"),
        ("MMAction2", 1e-6, "imagenet"),
    ],
)
def test_defaults_of_each_source(
    tmp_path: Path, name: str, norm_eps: float, image_norm: str
) -> None:
    torch.save(SOURCES[name][0], tmp_path / "w")
    loaded = weights.load_weights(tmp_path / "w")
    assert loaded.readout.norm_eps == norm_eps
    assert loaded.image_norm == image_norm
    assert loaded.readout.pos_embed
