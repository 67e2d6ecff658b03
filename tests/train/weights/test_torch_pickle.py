"""Malicious and broken PyTorch files are refused with one line, and run no code."""

import argparse
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Size

SIZE = Size(dim=24, depth=1, heads=2)


class Bomb:
    """Object that creates a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.open, (str(self.proof), os.O_CREAT)


def assert_refused(path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match=text) as caught:
        weights.load_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, *, zipped: bool) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    content = {"model": Encoder(SIZE).state_dict(), "args": Bomb(proof)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert_refused(path, r"requests (posix|nt)\.open, which could run code; not loaded")
    assert not proof.exists()
    # The bomb is real: a reader that trusts the file does create the proof.
    torch.load(path, weights_only=False)
    assert proof.exists()


def test_code_in_the_options_does_not_run(tmp_path: Path) -> None:
    """The one allowed class does not allow any other class inside it."""
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    options = argparse.Namespace(input_size=Bomb(proof))
    torch.save({"model": Encoder(SIZE).state_dict(), "args": options}, path)
    assert_refused(path, "which could run code")
    assert not proof.exists()


def test_a_pickled_model_object_is_refused(tmp_path: Path) -> None:
    torch.save(Encoder(SIZE), tmp_path / "w.pth")
    assert_refused(
        tmp_path / "w.pth", r"requests mmder_train\.models\.videomae\.Encoder"
    )


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"model": Bomb(proof)}))
    assert_refused(path, "not a plain torch.save file|which could run code")
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("fraction", [0.2, 0.9, 0.999])
def test_truncated_files(tmp_path: Path, fraction: float, *, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    content = {"model": Encoder(SIZE).state_dict()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    complete = path.read_bytes()
    path.write_bytes(complete[: int(len(complete) * fraction)])
    assert_refused(path, "damaged or truncated")


def test_a_tensor_that_claims_more_than_the_file_contains(tmp_path: Path) -> None:
    tensors = Encoder(SIZE).state_dict()
    tensors["blocks.0.attn.qkv.weight"] = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save(tensors, tmp_path / "w.pth")
    assert_refused(
        tmp_path / "w.pth",
        r"'blocks.0.attn.qkv.weight' claims \(1048576, 1048576\), 4398046511104 bytes, "
        "but the file contains 4 of them",
    )


def test_a_zip_file_that_unpacks_to_more(tmp_path: Path) -> None:
    torch.save({"patch_embed.proj.weight": torch.zeros(1 << 20)}, tmp_path / "w.pth")
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert packed.stat().st_size < 1 << 16
    assert_refused(packed, "that claims .* torch.save does not compress")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"epoch": 3, "best": 0.5},
            "contains a dict of 'epoch', 'best'; expected tensors",
        ),
        ([torch.zeros(2)], "contains a list"),
        ({}, "contains a dict of nothing"),
        ({"model": {"x": np.float64(1.0)}}, "which could run code"),
    ],
)
def test_files_without_a_model(tmp_path: Path, content: object, text: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert_refused(tmp_path / "w.pth", text)


def test_entries_that_are_not_tensors_are_dropped(tmp_path: Path) -> None:
    torch.save({**Encoder(SIZE).state_dict(), "epoch": 3}, tmp_path / "w.pth")
    loaded = weights.load_weights(tmp_path / "w.pth")
    assert loaded.dropped["epoch"] == "of type int, not a tensor"
    weights.load_into(Encoder(SIZE), loaded)
