"""Choice of the device, and precision of models."""

from functools import partial

import pytest
import torch

from mmder_train.models import mae_dfer
from mmder_train.models.registry import ENCODERS
from mmder_train.models.videomae import Head
from mmder_train.runtime.device import model_precision
from train_runs import Train


def test_a_missing_gpu_is_an_error(train_audio: Train) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = train_audio("--device", "cuda")
    assert "--device cuda: torch finds no GPU" in done.stderr


@pytest.mark.parametrize("name", ["tiny-56", "mae-dfer"])
def test_an_encoder_in_bfloat16_has_features_in_float32(name: str) -> None:
    """Frozen encoders run so on a GPU. Features differ by what bfloat16 rounds."""
    torch.manual_seed(0)
    with torch.inference_mode():
        entry = ENCODERS[name]
        make = partial(mae_dfer.Encoder, depth=1) if name == "mae-dfer" else entry.make
        encoder = make(entry.readout).eval()
        clips = torch.randn(1, 3, 16, 224, 224)
        exact = encoder(clips)
        encoder.to(torch.bfloat16)
        with model_precision(encoder, torch.device("cpu")):
            rounded = encoder(clips)
    assert exact.dtype == rounded.dtype == torch.float32
    assert not torch.equal(rounded, rounded.to(torch.bfloat16).float())
    assert (rounded - exact).norm() / exact.norm() < 0.02


def test_a_head_computes_in_float32_within_mixed_precision() -> None:
    torch.manual_seed(0)
    head, features = Head(64, 7), torch.randn(5, 64)
    exact = head.head(head.fc_norm(features))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head.head(features).dtype == torch.bfloat16
        assert torch.equal(head(features), exact)
