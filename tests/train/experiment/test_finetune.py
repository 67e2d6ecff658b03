"""Fine-tuning: reproducible weights, validation and EMA."""

import csv
from pathlib import Path

import pytest
import torch

from mmder_store import Store
from mmder_train.data import loader
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.inference.predictor import predict_clips
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.trained_run import load_trained_run
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


def test_two_views_are_the_mean_of_a_clip_and_its_mirror_image(
    train: Train, stores: Path
) -> None:
    words = ["av.zarr", "--strategy", "cfas", "--method", "finetune", "--fold", "1"]
    words += ["--epochs", "1", "--save-weights", "--views", "2", "--out", "a"]
    done = train(*words)
    assert done.exit_code == 0, done.output
    trained_run = load_trained_run("a", device="cpu")
    assert trained_run.views == 2
    store = Store(stores / "av.zarr")
    row_of = {name: i for i, name in enumerate(store.columns["clip_id"])}
    with Path("a/predictions-cfas.csv").open() as file:
        tested = list(csv.DictReader(file))
    assert tested
    for row in tested[:3]:
        index = row_of[row["clip_id"]]
        frames = torch.from_numpy(store.read_batch("frames", [index]))
        audio = torch.from_numpy(store.read_batch("stft_16", [index]))
        views = [
            trained_run.predict_probabilities(
                fuse(
                    faces,
                    audio,
                    frame_permutations([row["clip_id"]], seed=0),
                    strategy=trained_run.strategy,
                    settings=trained_run.render_settings,
                )
            )[0]
            for faces in (frames, frames.flip(3))
        ]
        assert not torch.equal(*views)
        expected = ((views[0] + views[1]) / 2).tolist()
        written = [float(row[f"p_{c}"]) for c in trained_run.classes]
        assert written == pytest.approx(expected, abs=2e-6)
        arrays = {"frames": frames[0].numpy(), "stft_16": audio[0].numpy()}
        clip = PreparedClip(
            clip_id=row["clip_id"], status="ok", reason="", arrays=arrays
        )
        (prediction,) = predict_clips([clip], trained_run)
        assert prediction.probabilities is not None
        assert list(prediction.probabilities.values()) == pytest.approx(expected)


def test_evaluations_share_one_loader_and_the_log_has_the_learning_rate(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    create = loader.BatchLoader.__init__

    def counted(self: loader.BatchLoader, *args: object, **options: object) -> None:
        made.append(self)
        create(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loader.BatchLoader, "__init__", counted)
    words = ("--val", "speakers", "--report-best-test-epoch")
    done = train_audio(*FINETUNE, *words, "--out", "a")
    assert done.exit_code == 0, done.output
    # One for training, one for four epochs of two evaluations and the test.
    assert len(made) == 2
    line = "learning rate 0.001 (not scaled), 4 clips per step, number of processes 1"
    assert line in Path("a/log.txt").read_text()
