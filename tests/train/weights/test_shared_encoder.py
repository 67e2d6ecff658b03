"""Heads that name the file of their encoder: read together, and checked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Head
from mmder_train.weights import load_weights, native, readers, save_weights
from mmder_train.weights.shared_encoder import METADATA, refer_to


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an encoder, and two heads that use it."""
    encoder = build_encoder("tiny-56")
    file = tmp_path / "encoder.safetensors"
    save_weights(file, native.to_state_dict(encoder, None), {"encoder": "tiny-56"})
    entry = refer_to(file, readers.sha256([file]))
    for fold in (1, 2):
        head = native.to_state_dict(None, Head(encoder.dim, 3))
        path = tmp_path / f"audio-{fold}.safetensors"
        save_weights(path, head, {"encoder": "tiny-56", "fold": fold, **entry})
    return tmp_path


def edit(path: Path, entry: Any) -> None:
    """Write another reference into the metadata of a head."""
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()[native.METADATA])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = json.dumps(metadata | {METADATA: entry})
    save_file(tensors, path, metadata={native.METADATA: text})


def test_a_head_is_read_with_its_encoder(folder: Path) -> None:
    encoder = readers.read_checkpoint(folder / "encoder.safetensors").tensors
    head = readers.read_checkpoint(folder / "audio-1.safetensors")
    assert head.metadata["fold"] == 1
    assert [p.name for p in head.paths] == [
        "audio-1.safetensors",
        "encoder.safetensors",
    ]
    assert head.tensors.keys() == encoder.keys() | Head(1, 1).state_dict().keys()
    for name, tensor in encoder.items():
        assert torch.equal(head.tensors[name], tensor)
    loaded = load_weights(folder / "audio-1.safetensors")
    assert (loaded.encoder, loaded.format) == ("tiny-56", "mmder")
    assert loaded.tensors.keys() == encoder.keys()


def test_heads_share_the_tensors_of_their_encoder(folder: Path) -> None:
    opened: Any = {}
    first, second = (
        readers.read_checkpoint(folder / f"audio-{fold}.safetensors", opened)
        for fold in (1, 2)
    )
    (encoder,) = opened.values()
    for name in encoder.tensors:
        assert first.tensors[name] is second.tensors[name]
    assert first.tensors["head.weight"] is not second.tensors["head.weight"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../encoder.safetensors", "sha256": "0"},
        {"name": "/etc/passwd", "sha256": "0"},
        {"name": "..", "sha256": "0"},
        {"name": "", "sha256": "0"},
        {"name": 3, "sha256": "0"},
        {"name": "encoder.safetensors"},
        {"name": "encoder.safetensors", "sha256": None},
        [],
        None,
        "encoder.safetensors",
    ],
)
def test_a_reference_to_another_folder_is_refused(folder: Path, entry: Any) -> None:
    edit(folder / "audio-1.safetensors", entry)
    with pytest.raises(WeightsError, match="expected a file in the same folder"):
        readers.read_checkpoint(folder / "audio-1.safetensors")


def test_a_missing_encoder_is_one_line(folder: Path) -> None:
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"Its encoder, encoder\.safetensors, is not"
    ):
        readers.read_checkpoint(folder / "audio-1.safetensors")


def test_a_changed_encoder_is_one_line(folder: Path) -> None:
    """Also if another head has read it before, under its own hash."""
    opened: Any = {}
    readers.read_checkpoint(folder / "audio-2.safetensors", opened)
    encoder = build_encoder("tiny-56")
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    file = folder / "encoder.safetensors"
    save_weights(file, native.to_state_dict(encoder, None), {})
    with pytest.raises(WeightsError, match="was changed since"):
        readers.read_checkpoint(folder / "audio-1.safetensors")
    entry = refer_to(file, readers.sha256([file]))[METADATA]
    edit(folder / "audio-1.safetensors", entry)
    changed = readers.read_checkpoint(folder / "audio-1.safetensors", opened)
    name = next(iter(encoder.state_dict()))
    assert torch.equal(changed.tensors[name], encoder.state_dict()[name])
