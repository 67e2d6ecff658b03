"""The project's own weights, and what `mmder-train weights` tells of any."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.cli.main import cli
from mmder_train.cli.options import IMAGE_NORMS
from mmder_train.fusion.rendering import IMAGE_NORMS as ROWS
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Encoder, Head, PoolingConfig, Size
from mmder_train.weights import summary

SMALL = Size(dim=24, depth=1, heads=2)
ABOUT: dict[str, Any] = {"encoder": "tiny", "classes": ["a", "b"]}


def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL)


def written(path: Path, **about: Any) -> Path:
    weights.save_weights(
        path, weights.to_state_dict(encoder(), Head(24, 2)), {**ABOUT, **about}
    )
    return path


def test_round_trip(tmp_path: Path) -> None:
    found = weights.load_weights(written(tmp_path / "w.safetensors"))
    assert found.format == "mmder"
    assert found.metadata == {"format": 1, **ABOUT}
    torch.manual_seed(1)
    other = Encoder(SMALL)
    fit = weights.load_into(other, found)
    for name, tensor in encoder().state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert set(fit.matched) == set(other.state_dict())
    assert len(found.dropped) == 4
    assert len(found.sha256) == 64


def test_the_read_out_of_a_run_comes_back(tmp_path: Path) -> None:
    said = {"epsilon": 1e-3, "pool": "mean", "positions": False, "statistics": "half"}
    found = weights.load_weights(written(tmp_path / "w", config=said))
    assert found.readout == PoolingConfig(norm_eps=1e-3, pool="mean", pos_embed=False)
    assert found.image_norm == "half"


def test_another_size_is_refused_with_both_shapes(tmp_path: Path) -> None:
    found = weights.load_weights(written(tmp_path / "w.safetensors"))
    text = (
        r"tensor 'patch_embed.proj.weight' is \(24, 3, 2, 16, 16\), "
        r"expected \(48, 3, 2, 16, 16\), "
    )
    with pytest.raises(WeightsError, match=text):
        weights.load_into(Encoder(Size(dim=48, depth=1, heads=2)), found)
    with pytest.raises(WeightsError, match=r"no tensor 'blocks.1.norm1.weight'"):
        weights.load_into(Encoder(Size(dim=24, depth=2, heads=2)), found)


def test_the_right_encoder_is_named(tmp_path: Path) -> None:
    torch.save(build_encoder("tiny").state_dict(), tmp_path / "w")
    found = weights.load_weights(tmp_path / "w")
    assert found.encoder == "tiny"
    with pytest.raises(WeightsError, match=r"Say --encoder tiny\.$"):
        weights.compare(weights.build_empty("base"), found).raise_if_incompatible("w")


def test_tensors_without_a_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {**encoder().state_dict(), "cls_token": torch.zeros(24)}
    weights.save_weights(path, tensors, ABOUT)
    with pytest.raises(WeightsError, match=r"no place for 'cls_token'"):
        weights.load_into(encoder(), weights.load_weights(path))


def test_a_truncated_file(tmp_path: Path) -> None:
    path = written(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged or truncated"):
        weights.load_weights(path)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ('{"format": 9}', "mmder format 9, expected 1"),
        ("[1]", "its mmder entry is damaged"),
        ("{", "its mmder entry is damaged"),
        ('{"format": 1, "config": {"epsilon": "x"}}', "epsilon is 'x'"),
        ('{"format": 1, "config": {"statistics": "mine"}}', "statistics is 'mine'"),
        ('{"format": 1, "config": {"pool": ["mean"]}}', "pool is"),
    ],
)
def test_an_entry_that_says_something_else(
    tmp_path: Path, entry: str, text: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata={"mmder": entry})
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(path)


# --- mmder-train weights --------------------------------------------------------------


def told(*words: object) -> Result:
    return CliRunner().invoke(cli, ["weights", *map(str, words)])


def test_what_is_told_of_a_file_that_fits(tmp_path: Path) -> None:
    tensors = {**build_encoder("tiny").state_dict(), **Head(96, 400).state_dict()}
    path = tmp_path / "w.pth"
    torch.save({"model": {k: v.half() for k, v in tensors.items()}}, path)
    done = told(path)
    assert done.exit_code == 0, done.output
    found = weights.load_weights(path)
    numbers = sum(t.numel() for t in build_encoder("tiny").parameters())
    for text in (
        "w.pth",
        "VideoMAE",
        found.sha256,
        "| tiny",
        f"{len(tensors) - 4} tensors, {numbers:,} numbers (float16)",
        "head of 400 classes; every fold trains its own: head.weight, head.bias",
        "new | the head of every fold |",
        "imagenet: mean and spread of ImageNet, by colour",
        "epsilon 1e-06",
        "mean of the tokens",
        "fixed sine-cosine",
    ):
        assert text in " ".join(done.stdout.split()), text
    assert done.stderr == ""


def test_what_is_told_of_a_file_that_fits_in_part(tmp_path: Path) -> None:
    tensors = build_encoder("tiny").state_dict()
    del tensors["blocks.1.mlp.fc2.bias"]
    path = tmp_path / "w.pth"
    torch.save(tensors, path)
    done = told(path)
    assert done.exit_code == 1
    assert "missing" in done.stdout
    assert done.stderr.endswith(
        "no tensor 'blocks.1.mlp.fc2.bias'. Say --allow-missing blocks.1 if these may "
        "start at random.\n"
    )
    assert done.stderr.count("\n") == 1
    done = told(path, "--allow-missing", "blocks.1.mlp.fc2.bias")
    assert done.exit_code == 0
    assert "the head of every fold; blocks.1.mlp.fc2.bias" in " ".join(
        done.stdout.split()
    )
    done = told(path, "--encoder", "mae-dfer")
    assert done.exit_code == 1
    assert "Say --encoder tiny." in done.stderr


def test_names_in_a_file_do_not_reach_the_terminal_as_orders(tmp_path: Path) -> None:
    names = ("decoder.\x1b[31mred", "decoder.[bold]x[/b]", "decoder.two\nlines")
    tensors = dict.fromkeys(names, torch.zeros(1))
    torch.save({**build_encoder("tiny").state_dict(), **tensors}, tmp_path / "w")
    done = told(tmp_path / "w")
    assert done.exit_code == 0, done.output
    for text in ("decoder.?[31mred", "decoder.[bold]x[/b]", "decoder.two?lines"):
        assert text in " ".join(done.stdout.split())


def test_names_of_statistics_are_the_same_everywhere() -> None:
    assert tuple(ROWS) == IMAGE_NORMS == tuple(summary.IMAGE_NORM_TEXT)
