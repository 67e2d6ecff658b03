"""`mmder-train weights`: the printed summary of a weights file."""

from pathlib import Path

import torch
from click.testing import CliRunner, Result

from mmder_train import weights
from mmder_train.cli.main import cli
from mmder_train.cli.options import IMAGE_NORMS
from mmder_train.fusion.rendering import IMAGE_NORMS as ROWS
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Head
from mmder_train.weights import summary


def show_weights(*words: object) -> Result:
    return CliRunner().invoke(cli, ["weights", *map(str, words)])


def test_summary_of_a_file_that_fits(tmp_path: Path) -> None:
    tensors = {**build_encoder("tiny").state_dict(), **Head(96, 400).state_dict()}
    path = tmp_path / "w.pth"
    torch.save({"model": {k: v.half() for k, v in tensors.items()}}, path)
    result = show_weights(path)
    assert result.exit_code == 0, result.output
    loaded = weights.load_weights(path)
    numbers = sum(t.numel() for t in build_encoder("tiny").parameters())
    for text in (
        "w.pth",
        "VideoMAE",
        loaded.sha256,
        "| tiny",
        f"{len(tensors) - 4} tensors, {numbers:,} parameters (float16)",
        "head of 400 classes; every fold trains its own: head.weight, head.bias",
        "new | the head of every fold |",
        "imagenet: mean and std of ImageNet, per color channel",
        "epsilon 1e-06",
        "mean of the tokens",
        "fixed sine-cosine",
    ):
        assert text in " ".join(result.stdout.split()), text
    assert result.stderr == ""


def test_summary_of_a_file_that_fits_partly(tmp_path: Path) -> None:
    tensors = build_encoder("tiny").state_dict()
    del tensors["blocks.1.mlp.fc2.bias"]
    path = tmp_path / "w.pth"
    torch.save(tensors, path)
    result = show_weights(path)
    assert result.exit_code == 1
    assert "missing" in result.stdout
    assert result.stderr.endswith(
        "no tensor 'blocks.1.mlp.fc2.bias'. Pass --allow-missing blocks.1 if these may "
        "keep their random initialization.\n"
    )
    assert result.stderr.count("\n") == 1
    result = show_weights(path, "--allow-missing", "blocks.1.mlp.fc2.bias")
    assert result.exit_code == 0
    assert "the head of every fold; blocks.1.mlp.fc2.bias" in " ".join(
        result.stdout.split()
    )
    result = show_weights(path, "--encoder", "mae-dfer")
    assert result.exit_code == 1
    assert "Pass --encoder tiny." in result.stderr


def test_control_characters_in_names_are_not_printed(tmp_path: Path) -> None:
    names = ("decoder.\x1b[31mred", "decoder.[bold]x[/b]", "decoder.two\nlines")
    tensors = dict.fromkeys(names, torch.zeros(1))
    torch.save({**build_encoder("tiny").state_dict(), **tensors}, tmp_path / "w")
    result = show_weights(tmp_path / "w")
    assert result.exit_code == 0, result.output
    for text in ("decoder.?[31mred", "decoder.[bold]x[/b]", "decoder.two?lines"):
        assert text in " ".join(result.stdout.split())


def test_image_norm_names_are_the_same_everywhere() -> None:
    assert tuple(ROWS) == IMAGE_NORMS == tuple(summary.IMAGE_NORM_TEXT)
