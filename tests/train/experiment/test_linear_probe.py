"""Linear probes: noise, and validation."""

from pathlib import Path

from fake_store import make_store
from train_runs import Train, read_all_numbers, read_results


def test_noise_is_not_learned(train: Train, stores: Path) -> None:
    make_store(stores / "noise.zarr", clips=32, speakers=4, modality="audio")
    done = train("noise.zarr", "--strategy", "audio", "--out", "a")
    assert done.exit_code == 0, done.output
    assert read_results("a")["strategies"]["audio"]["pooled"]["uar"] < 0.4


def test_linear_probes_are_validated(train_audio: Train) -> None:
    words = ("--strategy", "audio", "--encoder", "tiny-56", "--epochs", "5")
    done = train_audio(*words, "--val", "speakers", "--patience", "2", "--out", "a")
    assert done.exit_code == 0, done.output
    for fold in read_all_numbers("a")["every"]:
        assert len(fold["validated"]) == 1
        assert "val_uar" in fold["history"][0]
        assert len(fold["history"]) <= 5
