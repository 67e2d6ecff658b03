"""Linear probes: noise, validation, and clips without a modality."""

import csv
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


def test_clips_without_a_modality_have_cached_features(train: Train) -> None:
    words = ["av.zarr", "--strategy", "ofos", "--feature-cache", "cache"]
    words += ["--epochs", "2"]
    done = train(*words, "--drop-modality", "audio,video", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "ofos, modalities at test, percent" in done.output
    assert read_results("a")["config"]["drop_modality"] == ["audio", "video"]
    scores = read_results("a")["strategies"]["ofos"]
    assert scores["dropped"].keys() == {"audio", "video"}
    tables = []
    for suffix in ("", "-no-audio", "-no-video"):
        with Path(f"a/predictions-ofos{suffix}.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for clip, *without in zip(*tables, strict=True):
        assert {row["clip_id"] for row in without} == {clip["clip_id"]}
        assert len({row["p_happy"] for row in (clip, *without)}) == 3
    files = sorted(p.name.rsplit("-", 1)[0] for p in Path("cache").iterdir())
    assert files == ["ofos-no-audio-tiny", "ofos-no-video-tiny", "ofos-tiny"]
    # A run with modality dropout finds the features of all three in the cache.
    done = train(*words, "--modality-dropout", "0.5", "--out", "b")
    assert done.exit_code == 0, done.output
    log = Path("b/log.txt").read_text()
    assert log.count("features of 16 clips read from") == 3
    assert "dropped" not in read_results("b")["strategies"]["ofos"]
    losses = [
        read_results(run)["strategies"]["ofos"]["folds"][0]["train_loss"]
        for run in "ab"
    ]
    assert losses[0] != losses[1]
    # The folder of a run with other settings is not reused.
    done = train(*words, "--out", "b")
    assert done.exit_code == 1
    assert "modality_dropout 0.5 -> 0.0" in done.output
