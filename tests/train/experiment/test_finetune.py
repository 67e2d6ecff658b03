"""Fine-tuning: reproducible weights, validation and EMA."""

from pathlib import Path

import pytest
import torch

from mmder_train.weights import load_weights
from train_runs import FINETUNE, Train, read_all_numbers, read_results


def test_fine_tuning_twice_has_the_same_weights(train: Train) -> None:
    words = ["sound.zarr", "--strategy", "audio", "--method", "finetune", "--fold", "3"]
    words += ["--epochs", "2", "--save-weights"]
    for out in ("a", "b"):
        done = train(*words, "--out", out)
        assert done.exit_code == 0, done.output
    name = "weights/audio-3.safetensors"
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    results = read_results("a")
    assert results == read_results("b")
    assert [f["fold"] for f in results["strategies"]["audio"]["folds"]] == [3]

    probe = ("sound.zarr", "--strategy", "audio", "--weights", f"a/{name}")
    done = train(*probe, "--out", "c")
    assert done.exit_code == 0, done.output
    assert "were trained on this very store" in done.stderr
    config = read_results("c")["config"]
    assert config["weights"] == "audio-3.safetensors"
    assert len(config["weights_sha256"]) == 64
    assert config["weights_format"] == "mmder"

    Path("a", name).unlink()
    assert train(*words, "--out", "a").exit_code == 0
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_validation_speakers_are_neither_trained_nor_tested(train_audio: Train) -> None:
    done = train_audio(
        *FINETUNE, "--val", "speakers", "--patience", "1", "--report-best-test-epoch"
    )
    assert done.exit_code == 0, done.output
    (folder,) = Path("runs").iterdir()
    numbers = read_all_numbers(folder)
    (fold,) = numbers["every"]
    (row,) = numbers["strategies"]["audio"]["folds"]
    held_out = set(fold["validated"])
    assert len(held_out) == 1
    assert not held_out & set(fold["speakers"])
    assert not held_out & set(fold["speaker"])
    assert row["validated"] == fold["validated"]
    history = fold["history"]
    best = max(range(len(history)), key=lambda i: (history[i]["val_uar"], -i))
    assert row["epoch"] == best + 1
    assert row["train_loss"] == history[best]["loss"]
    # The tested weights are those of the selected epoch, not of the last.
    assert row["uar"] == pytest.approx(history[best]["test_uar"])
    best_test = numbers["strategies"]["audio"]["best_test_epoch"]
    assert best_test["war"] == max(r["test_war"] for r in history)
    assert "not valid: chosen on the test side" in done.stdout


def test_ema_weights_are_saved(train_audio: Train) -> None:
    for out, ema in (("a", "0"), ("b", "0.9")):
        train_audio(*FINETUNE, "--ema-decay", ema, "--save-weights", "--out", out)
    a, b = (load_weights(f"{out}/weights/audio-1.safetensors").tensors for out in "ab")
    assert a.keys() == b.keys()
    assert any(not torch.equal(a[name], b[name]) for name in a)
