"""A weights file fits exactly, or is refused in one line."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.videomae import Encoder, Head, Size

SMALL = Size(dim=24, depth=1, heads=2)
ABOUT = {"encoder": "tiny", "classes": ["a", "b"]}


def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL)


def written(path: Path) -> Path:
    weights.save(path, weights.flat(encoder(), Head(24, 2)), ABOUT)
    return path


def test_round_trip(tmp_path: Path) -> None:
    found = weights.load(written(tmp_path / "w.safetensors"))
    assert found.about == {"format": 1, **ABOUT}
    torch.manual_seed(1)
    other = Encoder(SMALL)
    weights.fill(other, found)
    for name, tensor in encoder().state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert found.tensors["head.weight"].shape == (2, 24)
    assert len(found.sha256) == 64


def test_another_size_is_refused_with_both_shapes(tmp_path: Path) -> None:
    found = weights.load(written(tmp_path / "w.safetensors"))
    wide = Encoder(Size(dim=48, depth=1, heads=2))
    text = (
        r"tensor 'patch_embed.proj.weight' is \(24, 3, 2, 16, 16\), "
        r"expected \(48, 3, 2, 16, 16\). Say --encoder tiny."
    )
    with pytest.raises(WeightsError, match=text):
        weights.fill(wide, found)
    with pytest.raises(WeightsError, match=r"no tensor 'blocks.1.norm1.weight'"):
        weights.fill(Encoder(Size(dim=24, depth=2, heads=2)), found)


def test_tensors_without_a_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {**encoder().state_dict(), "cls_token": torch.zeros(24)}
    weights.save(path, tensors, ABOUT)
    with pytest.raises(WeightsError, match=r"1 tensors .* no place for.*'cls_token'"):
        weights.fill(encoder(), weights.load(path))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (pickle.dumps({"model": 1}), "a pickle, which can run code"),
        (b"PK\x03\x04" + bytes(40), "a PyTorch pickle or another zip file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"hello, this is text", "of an unknown format"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json......", "damaged or truncated"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=text):
        weights.load(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = written(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged or truncated"):
        weights.load(path)


def test_safetensors_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(
        WeightsError, match=r"format None here, expected mmder format 1"
    ):
        weights.load(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.load(tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        weights.load(tmp_path)
