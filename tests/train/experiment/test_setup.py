"""Setup of a run: settings from the weights, and requests that cannot be served."""

from pathlib import Path

import pytest
import torch

from fake_store import make_store
from mmder_train.models.registry import build_encoder
from train_runs import FINETUNE, Train, invoke, read_results


def test_weights_determine_the_pooling_unless_it_is_named(train: Train) -> None:
    """The resolved settings are all in the results."""
    words = ["sound.zarr", "--strategy", "audio", "--fold", "3", "--epochs", "1"]
    named = ["--norm-eps", "1e-4", "--no-pos-embed", "--image-norm", "release"]
    done = train(*words, *named, "--method", "finetune", "--save-weights", "--out", "a")
    assert done.exit_code == 0, done.output
    probe = (*words, "--weights", "a/weights/audio-3.safetensors")
    for options, image_norm in ((), "release"), (("--image-norm", "none"), "none"):
        done = train(*probe, *options, "--out", image_norm)
        assert done.exit_code == 0, done.output
        config = read_results(image_norm)["config"]
        assert config["encoder"] == "tiny"
        assert config["norm_eps"] == 1e-4
        assert config["pool"] == "mean"
        assert config["pos_embed"] is False
        assert config["image_norm"] == image_norm
    losses = {
        read_results(run)["strategies"]["audio"]["folds"][0]["train_loss"]
        for run in ("release", "none")
    }
    assert len(losses) == 2


def test_weights_determine_the_encoder(train: Train) -> None:
    """Here the weights are a pre-training file of the official program."""
    torch.manual_seed(1)
    small = {f"encoder.{k}": v for k, v in build_encoder("small").state_dict().items()}
    torch.save({"model": {**small, "mask_token": torch.zeros(1, 1, 8)}}, "w.pth")
    done = train("av.zarr", "--weights", "w.pth", "--encoder", "base")
    assert "--encoder small." in done.stderr
    tiny = {f"encoder.{k}": v for k, v in build_encoder("tiny").state_dict().items()}
    torch.save({"model": {**tiny, "mask_token": torch.zeros(1, 1, 8)}}, "w.pth")
    words = ("sound.zarr", "--strategy", "audio", "--fold", "3", "--epochs", "1")
    done = train(*words, "--weights", "w.pth", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "random weights" not in done.stderr
    config = read_results("a")["config"]
    assert (config["encoder"], config["weights"]) == ("tiny", "w.pth")
    assert config["weights_format"] == "VideoMAE"


def test_without_weights_the_pooling_is_that_of_the_encoders_authors(
    train: Train,
) -> None:
    done = train("sound.zarr", "--strategy", "audio", "--epochs", "1", "--out", "a")
    assert "the frozen encoder has random weights" in done.stderr
    config = read_results("a")["config"]
    assert config["encoder"] == "tiny"
    assert (config["norm_eps"], config["pool"], config["pos_embed"]) == (
        1e-6,
        "mean",
        True,
    )
    assert config["image_norm"] == "imagenet"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.zarr",), "no such folder; check the path, or make a store with"),
        (("alone.zarr", "--strategy", "audio"), "all clips are of speaker '01'"),
        (("sound.zarr",), "store sound.zarr has only audio. Use --strategy audio."),
        (("av.zarr", "--labels", "five"), "this store has ravdess-7, ravdess-8"),
        (("av.zarr", "--protocol", "x"), "this store has ravdess-contiguous-6"),
        (("av.zarr", "--fold", "2"), "--fold 2: no clips in this store"),
        (("av.zarr", "--weights", "w.bin"), "weights w.bin: no such file"),
        (("av.zarr", "--pool", "region"), "--pool region: the encoder tiny has no"),
        (("av.zarr", "--norm-eps", "1"), "--norm-eps 1: expected above 0"),
        (
            ("av.zarr", "--allow-missing", "blocks"),
            "without --weights all parts start at random",
        ),
        (
            ("av.zarr", "--checkpoint-activations"),
            "Use --method finetune, or leave it out",
        ),
        (("av.zarr", "--lr", "0"), "--lr 0: expected above 0"),
        (("av.zarr", "--strategy", "rfas", "--rfas-resample"), "Use --method finetune"),
        (("av.zarr", "--out", "full"), "not empty, and no run in it"),
        (("av.zarr", "--out", "file"), "is a file"),
    ],
)
def test_requests_that_cannot_be_served_are_one_line(
    train: Train, words: tuple[str, ...], text: str
) -> None:
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    done = train(*words)
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-train: error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert done.stdout == ""
    assert Path("full/thesis.txt").read_text() == "mine"


def test_a_fold_without_train_speakers_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    make_store(path, clips=16, speakers=2, modality="audio")
    done = invoke("--store", str(path), *FINETUNE, "--val", "speakers")
    assert done.exit_code == 1
    assert "at least two are needed" in done.stderr
