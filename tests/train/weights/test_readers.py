"""Files, folders and shards: broken ones are refused with one line."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Head, Size

SIZE = Size(dim=24, depth=1, heads=2)


def assert_refused(path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match=text) as caught:
        weights.load_weights(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = weights.to_state_dict(Encoder(SIZE), Head(24, 2))
    weights.save_weights(path, tensors, {"encoder": "tiny", "classes": ["a", "b"]})
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(path, "damaged or truncated")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(40), "damaged or truncated"),
        (
            b"\x89HDF\r\n\x1a\n" + bytes(40),
            "damaged, truncated or not Keras weights",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><html>", "a web page, not the file itself"),
        (b"hello, this is text", "of an unknown type; expected safetensors"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json......", "damaged or truncated"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}" + bytes(40), "damaged or truncated"),
    ],
)
def test_files_of_other_types(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "w").write_bytes(content)
    assert_refused(tmp_path / "w", text)


def test_a_header_that_claims_more_than_the_file(tmp_path: Path) -> None:
    header = (
        b'{"patch_embed.proj.weight":{"dtype":"F32","shape":[1000000,1000000],'
        b'"data_offsets":[0,4000000000000]}}'
    )
    content = io.BytesIO()
    content.write(len(header).to_bytes(8, "little") + header + bytes(64))
    (tmp_path / "w").write_bytes(content.getvalue())
    assert_refused(tmp_path / "w", "damaged or truncated")


def test_folders(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "no such file")
    assert_refused(
        tmp_path, "a folder with none of these; expected one of model.safetensors"
    )
    torch.save(Encoder(SIZE).state_dict(), tmp_path / "a.pth")
    assert weights.load_weights(tmp_path).format == "VideoMAE"
    torch.save(Encoder(SIZE).state_dict(), tmp_path / "b.pth")
    assert_refused(tmp_path, r"a folder with a\.pth, b\.pth; expected one of")
    (tmp_path / "model.safetensors.index.json").write_text("[1]")
    assert_refused(tmp_path, "not a JSON object")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert_refused(tmp_path, "no weight_map inside")


def test_an_index_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    index = tmp_path / "inner" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../x.safetensors"}}))
    with pytest.raises(WeightsError, match="which is not in its folder"):
        weights.load_weights(index)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["zip", "before torch 1.6", "safetensors"]),
    seed=st.integers(0, 2**32 - 1),
    changes=st.integers(1, 20),
)
def test_damaged_bytes_are_refused_or_read(kind: str, seed: int, changes: int) -> None:
    """No error other than WeightsError, whichever of the first bytes are changed."""
    tensors = Encoder(Size(dim=8, depth=1, heads=2)).state_dict()
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w")
        if kind == "safetensors":
            weights.save_weights(path, tensors, {"config": {"norm_eps": 1e-6}})
        else:
            new = kind == "zip"
            torch.save({"model": tensors}, path, _use_new_zipfile_serialization=new)
        content = bytearray(path.read_bytes())
        for index in rng.integers(4, 3000, changes):
            content[index] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(WeightsError):
            weights.load_weights(path)
