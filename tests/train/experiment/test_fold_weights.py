"""Weights of a linear probe: the encoder once, and a head per fold."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from mmder_train.models.videomae import Head
from mmder_train.weights import load_weights
from train_runs import FINETUNE, Train, read_all_numbers

PROBE = (*FINETUNE, "--fold", "all", "--method", "linear-probe", "--save-weights")


@pytest.fixture
def probe(train_audio: Train) -> Train:
    """Return a linear probe of all folds in the folder ``a``, with saved weights."""
    done = train_audio(*PROBE, "--out", "a")
    assert done.exit_code == 0, done.output
    return train_audio


def contents() -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in Path("a/weights").iterdir()}


def test_the_encoder_is_written_once(probe: Train) -> None:
    heads = set(Head(1, 1).state_dict())
    files = {name: set(load_file(f"a/weights/{name}")) for name in contents()}
    assert not files.pop("encoder.safetensors") & heads
    assert len(files) == len(read_all_numbers("a")["every"]) > 1
    assert all(names == heads for names in files.values())
    # The file is of use elsewhere: it states how it pools, as other weights do.
    loaded = load_weights("a/weights/encoder.safetensors")
    assert (loaded.encoder, loaded.format) == ("tiny-56", "mmder")


@pytest.mark.parametrize("gone", ["encoder.safetensors", "audio-1.safetensors"])
def test_weights_that_are_gone_are_written_again(probe: Train, gone: str) -> None:
    before, numbers = contents(), read_all_numbers("a")
    Path("a/weights", gone).unlink()
    done = probe(*PROBE, "--out", "a")
    assert done.exit_code == 0, done.output
    assert contents() == before
    assert read_all_numbers("a") == numbers


def test_the_encoder_of_another_run_is_not_used(probe: Train) -> None:
    assert probe(*PROBE, "--seed", "1", "--out", "b").exit_code == 0
    other = Path("b/weights/encoder.safetensors")
    Path("a/weights/encoder.safetensors").write_bytes(other.read_bytes())
    Path("a/weights/audio-1.safetensors").unlink()
    done = probe(*PROBE, "--out", "a")
    assert done.exit_code == 1
    assert "encoder.safetensors: not the encoder of this run" in done.stderr
    assert "Traceback" not in done.output
