"""Linear probes: noise, and validation."""

from pathlib import Path

from fake_store import make_store
from train_runs import Train, read_all_numbers, read_results


def test_noise_is_not_learned(train: Train, stores: Path) -> None:
    make_store(stores / "noise.zarr", clips=32, speakers=4, modality="audio")
    done = train("noise.zarr", "--strategy", "audio", "--out", "a")
    assert done.exit_code == 0, done.output
    assert read_results("a")["strategies"]["audio"]["pooled"]["uar"] < 0.4


def test_rare_classes_are_weighted_or_drawn(train: Train) -> None:
    """Both belong to the settings of a run, and both change its heads."""
    words = ("av.zarr", "--fold", "1", "--epochs", "3")
    options = {
        "none": (),
        "weights": ("--class-weights", "balanced"),
        "sampler": ("--sampler", "balanced"),
    }
    losses = set()
    for out, option in options.items():
        done = train(*words, *option, "--out", out)
        assert done.exit_code == 0, done.output
        (fold,) = read_all_numbers(out)["every"]
        losses.add(fold["history"][-1]["loss"])
        config = read_results(out)["config"]
        chosen = (config["class_weights"], config["sampler"])
        assert chosen.count("balanced") == (out != "none")
    assert len(losses) == 3
    other = train(*words, *options["weights"], "--out", "none")
    assert "holds another run (config class_weights none -> balanced)" in other.stderr
    tuned = (*words, "--method", "finetune")
    for out, option in options.items():
        done = train(*tuned, *option, "--out", f"tuned-{out}")
        assert done.exit_code == 0, done.output
        (fold,) = read_all_numbers(f"tuned-{out}")["every"]
        losses.add(fold["history"][-1]["loss"])
    assert len(losses) == 6


def test_linear_probes_are_validated(train_audio: Train) -> None:
    words = ("--strategy", "audio", "--encoder", "tiny-56", "--epochs", "5")
    done = train_audio(*words, "--val", "speakers", "--patience", "2", "--out", "a")
    assert done.exit_code == 0, done.output
    for fold in read_all_numbers("a")["every"]:
        assert len(fold["validated"]) == 1
        assert "val_uar" in fold["history"][0]
        assert len(fold["history"]) <= 5
