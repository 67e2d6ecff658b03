"""Hostile and broken files: nothing runs, nothing large is made, one line is said."""

import argparse
import contextlib
import io
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Size

SIZE = Size(dim=24, depth=1, heads=2)


class Bomb:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.open, (str(self.proof), os.O_CREAT)


def refused(path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match=text) as told:
        weights.load_weights(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, *, zipped: bool) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    held = {"model": Encoder(SIZE).state_dict(), "args": Bomb(proof)}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    refused(path, r"asks for (posix|nt)\.open, which could run code; not loaded")
    assert not proof.exists()
    # It is a real one: a reader that trusts it does make the file.
    torch.load(path, weights_only=False)
    assert proof.exists()


def test_code_among_the_options_does_not_run(tmp_path: Path) -> None:
    """The one class that is let through carries nothing else through."""
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    options = argparse.Namespace(input_size=Bomb(proof))
    torch.save({"model": Encoder(SIZE).state_dict(), "args": options}, path)
    refused(path, "which could run code")
    assert not proof.exists()


def test_a_whole_model_is_code(tmp_path: Path) -> None:
    torch.save(Encoder(SIZE), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"asks for mmder_train\.models\.videomae\.Encoder")


def test_a_plain_pickle(tmp_path: Path) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"model": Bomb(proof)}))
    refused(path, "no plain file of torch.save|which could run code")
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_truncated_files(tmp_path: Path, share: float, *, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    held = {"model": Encoder(SIZE).state_dict()}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "damaged or truncated")


def test_a_tensor_that_claims_more_than_there_is(tmp_path: Path) -> None:
    tensors = Encoder(SIZE).state_dict()
    tensors["blocks.0.attn.qkv.weight"] = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save(tensors, tmp_path / "w.pth")
    refused(
        tmp_path / "w.pth",
        r"'blocks.0.attn.qkv.weight' claims \(1048576, 1048576\), 4398046511104 bytes, "
        "and the file holds 4 of it",
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
    refused(packed, "that claims .* torch.save packs nothing")


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (
            {"epoch": 3, "best": 0.5},
            "a dict of 'epoch', 'best' inside; expected tensors",
        ),
        ([torch.zeros(2)], "a list inside"),
        ({}, "a dict of nothing inside"),
        ({"model": {"x": np.float64(1.0)}}, "which could run code"),
    ],
)
def test_files_without_a_model(tmp_path: Path, held: object, text: str) -> None:
    torch.save(held, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", text)


def test_what_is_no_tensor_is_left_out(tmp_path: Path) -> None:
    torch.save({**Encoder(SIZE).state_dict(), "epoch": 3}, tmp_path / "w.pth")
    found = weights.load_weights(tmp_path / "w.pth")
    assert found.dropped["epoch"] == "a int, no tensor"
    weights.load_into(Encoder(SIZE), found)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(40), "damaged or truncated"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "damaged, truncated or no weights of Keras"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><html>", "a web page, not the file itself"),
        (b"hello, this is text", "of an unknown kind; expected safetensors"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json......", "damaged or truncated"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}" + bytes(40), "damaged or truncated"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "w").write_bytes(content)
    refused(tmp_path / "w", text)


def test_a_header_that_claims_more_than_the_file(tmp_path: Path) -> None:
    header = (
        b'{"patch_embed.proj.weight":{"dtype":"F32","shape":[1000000,1000000],'
        b'"data_offsets":[0,4000000000000]}}'
    )
    content = io.BytesIO()
    content.write(len(header).to_bytes(8, "little") + header + bytes(64))
    (tmp_path / "w").write_bytes(content.getvalue())
    refused(tmp_path / "w", "damaged or truncated")


def test_folders(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no such file")
    refused(tmp_path, "a folder with none of these; expected one of model.safetensors")
    torch.save(Encoder(SIZE).state_dict(), tmp_path / "a.pth")
    assert weights.load_weights(tmp_path).format == "VideoMAE"
    torch.save(Encoder(SIZE).state_dict(), tmp_path / "b.pth")
    refused(tmp_path, r"a folder with a\.pth, b\.pth; expected one of")
    (tmp_path / "model.safetensors.index.json").write_text("[1]")
    refused(tmp_path, "no JSON object")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    refused(tmp_path, "no weight_map inside")


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["zip", "before torch 1.6", "safetensors"]),
    seed=st.integers(0, 2**32 - 1),
    changes=st.integers(1, 20),
)
def test_damaged_bytes_are_refused_or_read(kind: str, seed: int, changes: int) -> None:
    """Never another error than ours, whatever bytes of the first half are others."""
    tensors = Encoder(Size(dim=8, depth=1, heads=2)).state_dict()
    draw = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w")
        if kind == "safetensors":
            weights.save_weights(path, tensors, {"config": {"epsilon": 1e-6}})
        else:
            new = kind == "zip"
            torch.save({"model": tensors}, path, _use_new_zipfile_serialization=new)
        content = bytearray(path.read_bytes())
        for place in draw.integers(4, 3000, changes):
            content[place] = draw.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(WeightsError):
            weights.load_weights(path)
