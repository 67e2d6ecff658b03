"""Choice of the device."""

import pytest
import torch

from train_runs import Train


def test_a_missing_gpu_is_an_error(train_audio: Train) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = train_audio("--device", "cuda")
    assert "--device cuda: torch finds no GPU" in done.stderr
