"""Clips seen in pre-training: recorded, refused in a test, and marked if allowed."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from train_runs import invoke, read_results

Pretrain = Callable[..., Result]
SHORT = ("--strategy", "audio", "--epochs", "1", "--batch-size", "8")


@pytest.fixture
def classify(stores: Path, pretrain: Pretrain) -> Callable[..., Result]:
    """Return a linear probe of `mmder-train` on a store, with weights in `a`."""

    def call(store: str, *arguments: str) -> Result:
        return invoke(
            *("--store", str(stores / store), "--strategy", "audio", "--epochs", "2"),
            *("--weights", "a/encoder.safetensors", "--device", "cpu"),
            *("--feature-cache", "none", *arguments),
        )

    return call


def test_a_fold_with_seen_test_clips_is_refused(
    pretrain: Pretrain, classify: Callable[..., Result]
) -> None:
    done = pretrain("sound.zarr", *SHORT, "--out", "a", "--val-speakers", "0")
    assert done.exit_code == 0, done.output
    refused = classify("sound.zarr", "--out", "b")
    assert refused.exit_code == 1
    assert (
        "weights encoder.safetensors: fold 1: 8 of 8 test clips were seen in "
        "pre-training, or their speakers were (01) (4 such folds). Pre-train with "
        "--exclude-fold 1 --protocol ravdess-contiguous-6 and use --fold 1, or pass "
        "--allow-seen, which marks the result as not valid."
    ) in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not Path("b").exists()

    allowed = classify("sound.zarr", "--out", "b", "--allow-seen", "--save-weights")
    assert allowed.exit_code == 0, allowed.output
    assert "not valid: tests clips seen in pre-training" in allowed.stdout
    assert "not valid: fold 1: 8 of 8 test clips were seen" in allowed.stderr
    results = read_results("b")
    assert results["config"]["allow_seen"] is True
    seen = results["strategies"]["audio"]["seen_in_pretraining"]
    assert [fold["fold"] for fold in seen] == [1, 3, 4, 6]
    assert seen[0] == {"fold": 1, "clips": 8, "of": 8, "speakers": ["01"]}

    compared = invoke("compare", "b", "--out", "c")
    assert compared.exit_code == 0, compared.output
    with Path("c/compare.csv").open(newline="") as file:
        (row, *_) = [r for r in csv.DictReader(file) if r["kind"] == "own"]
    assert row["speaker_independent"] == "no: seen in pre-training"
    assert "not valid: fold 1" in row["note"]
    assert "no: seen in pre-training" in compared.stdout

    # An encoder that is trained further has seen the same clips.
    Path("a/encoder.safetensors").write_bytes(
        Path("b/weights/encoder.safetensors").read_bytes()
    )
    refused = classify("sound.zarr", "--out", "d")
    assert refused.exit_code == 1
    assert "test clips were seen in pre-training" in refused.stderr


def test_an_excluded_fold_can_be_tested(
    pretrain: Pretrain, classify: Callable[..., Result]
) -> None:
    done = pretrain("sound.zarr", *SHORT, "--out", "a", "--exclude-fold", "3")
    assert done.exit_code == 0, done.output
    assert "8 clips excluded: 8 of excluded speakers" in done.stderr
    clean = classify("sound.zarr", "--out", "b", "--fold", "3")
    assert clean.exit_code == 0, clean.output
    assert "not valid" not in clean.output
    assert read_results("b")["strategies"]["audio"]["seen_in_pretraining"] == []
    refused = classify("sound.zarr", "--out", "c", "--fold", "1")
    assert refused.exit_code == 1
    assert "fold 1: 8 of 8 test clips" in refused.stderr


def test_clips_of_a_seen_speaker_in_another_store_are_refused(
    pretrain: Pretrain, classify: Callable[..., Result]
) -> None:
    """Speakers 01 and 24 of the same corpus, with other clips."""
    words = ("--val-speakers", "0", "--spectrogram", "mel", "--out", "a")
    assert pretrain("av.zarr", *SHORT, *words).exit_code == 0
    refused = classify("sound.zarr", "--out", "b", "--fold", "6")
    assert "or their speakers were (24)" in refused.stderr
    other = classify("sound.zarr", "--out", "b", "--fold", "3")
    assert other.exit_code == 0, other.output
    warning = "were pre-trained with --spectrogram mel; this run uses stft"
    assert warning in other.stderr


def test_weights_print_the_clips_that_they_have_seen(pretrain: Pretrain) -> None:
    words = ("--exclude-speakers", "09,16", "--val-speakers", "0", "--out", "a")
    assert pretrain("sound.zarr", *SHORT, *words).exit_code == 0
    shown = invoke("weights", "a/encoder.safetensors", "--encoder", "tiny")
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    assert "pre-trained on | 16 clips of speakers handmade 01, 24" in text


def test_weights_of_two_pre_trainings_name_the_clips_of_both(
    pretrain: Pretrain,
) -> None:
    words = ("--val-speakers", "0", "--out")
    first = ("--exclude-speakers", "09,16,24", *words, "a")
    assert pretrain("sound.zarr", *SHORT, *first).exit_code == 0
    second = ("--exclude-speakers", "01,09,16", *words, "b")
    weights = ("--weights", "a/encoder.safetensors")
    done = pretrain("sound.zarr", *SHORT, *second, *weights)
    assert done.exit_code == 0, done.output
    assert "seen: 16 clips of speakers handmade 01, 24" in done.stdout
