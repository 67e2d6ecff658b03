"""`mmder-train` from a store to its tables: results, resuming and run folders."""

import csv
import errno
import json
import re
from pathlib import Path

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from mmder_store import Store
from mmder_store.atomic_files import write_json
from mmder_train.evaluation import run_directory
from mmder_train.experiment import cross_validation
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.inference.trained_run import load_trained_run
from train_runs import Train, read_metrics, read_results


def test_a_linear_probe_finds_planted_emotions_reproducibly(train: Train) -> None:
    done = train("av.zarr", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "fold 2 of ravdess-contiguous-6: no clips in this store" in done.stderr
    assert "confusion matrix: a/confusion-cfas.png" in done.stdout
    results = read_results("a")
    cfas = results["strategies"]["cfas"]
    assert [f["fold"] for f in cfas["folds"]] == [1, 6]
    assert cfas["mean"]["uar"] > 0.6
    assert cfas["test_speakers"] == "apart"
    assert cfas["chance"] == {
        "war": 0.25,
        "uar": pytest.approx(1 / 7),
        "weighted_f1": pytest.approx(0.1),
    }
    assert results["config"]["labels"] == "ravdess-7"
    assert results["config"]["protocol"] == "ravdess-contiguous-6"
    assert "/" not in json.dumps(results)
    assert Path("a/confusion-cfas.png").read_bytes().startswith(b"\x89PNG")
    text = Path("a/predictions-cfas.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len({r["clip_id"] for r in rows}) == len(rows) == 16
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    pooled = cfas["pooled"]
    assert pooled["war"] == pytest.approx(accuracy_score(true, predicted))
    assert pooled["uar"] == pytest.approx(balanced_accuracy_score(true, predicted))
    f1 = f1_score(true, predicted, average="weighted", zero_division=0.0)
    assert pooled["weighted_f1"] == pytest.approx(f1)

    again = train("av.zarr", "--out", "b")
    assert again.stdout == done.stdout.replace("a/", "b/")
    for name in ("results.json", "predictions-cfas.csv", "folds/cfas-6.json"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_a_finished_run_is_printed_and_not_repeated(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--epochs", "2")
    first = train(*words)
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("sound-")
    monkeypatch.delitem(cross_validation.TUNING_METHODS, "linear-probe")
    again = train(*words)
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert re.fullmatch(r"next: mmder-train compare \S+\n", again.stderr)


def test_an_interrupted_run_resumes_with_the_same_numbers(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--epochs", "3")
    train(*words, "--out", "whole")
    finish = run_directory.RunDirectory.finish_fold

    def interrupt(
        self: run_directory.RunDirectory, record: run_directory.FoldResult
    ) -> None:
        if record.fold == 3:
            raise KeyboardInterrupt
        finish(self, record)

    with monkeypatch.context() as patched:
        patched.setattr(run_directory.RunDirectory, "finish_fold", interrupt)
        interrupted = train(*words, "--out", "parts")
    assert interrupted.exit_code == 130
    assert "interrupted; finished folds are kept" in interrupted.stderr
    finished = Path("parts/folds/audio-1.json")
    before = finished.stat().st_mtime_ns
    assert sorted(f.name for f in Path("parts").rglob("*.*")) == [
        "audio-1.json",
        "log.txt",
        "metrics.jsonl",
        "run.json",
    ]
    done = train(*words, "--out", "parts")
    assert done.exit_code == 0
    assert finished.stat().st_mtime_ns == before
    assert read_results("parts") == read_results("whole")
    metrics = read_metrics("parts")
    # The heads of all folds are trained again.
    assert metrics == read_metrics("whole")
    names = [(row["fold"], row["epoch"]) for row in metrics]
    assert len(names) == len(set(names)) == 9


def test_one_command_trains_every_strategy(train: Train) -> None:
    words = ("--strategy", "all", "--epochs", "1", "--fold", "1", "--out", "a")
    done = train("av.zarr", *words)
    assert done.exit_code == 0, done.output
    assert list(read_results("a")["strategies"]) == sorted(STRATEGIES)
    assert done.stdout.count("confusion matrix:") == len(STRATEGIES)


def test_a_folder_of_another_run_is_rejected(train: Train) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--fold", "1", "--out", "a")
    train(*words, "--epochs", "2")
    done = train(*words, "--epochs", "3")
    assert done.exit_code == 1
    assert "run folder a: holds another run (config epochs 2 -> 3)" in done.stderr


def test_a_full_disk_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(run_directory, "write_json", full)
    words = ("sound.zarr", "--strategy", "audio", "--out", "a")
    done = train(*words)
    assert done.exit_code == 1
    assert done.stderr == "mmder-train: error: a/run.json: No space left on device\n"
    monkeypatch.setattr(run_directory, "write_json", write_json)
    with_traceback = train("none.zarr", "-v")
    assert type(with_traceback.exception).__name__ == "StoreError"


@pytest.mark.parametrize("method", ["linear-probe", "finetune"])
def test_a_dropped_modality_is_zero_in_the_input_of_the_saved_model(
    train: Train, stores: Path, method: str
) -> None:
    """The written probabilities are those of inputs whose other half is cleared."""
    words = ["av.zarr", "--strategy", "ofos", "--method", method, "--fold", "1"]
    words += ["--epochs", "1", "--modality-dropout", "0.5", "--save-weights"]
    done = train(*words, "--drop-modality", "audio,video", "--out", "a")
    assert done.exit_code == 0, done.output
    trained_run = load_trained_run("a", device="cpu")
    assert trained_run.modality_dropout == 0.5
    store = Store(stores / "av.zarr")
    row_of = {name: i for i, name in enumerate(store.columns["clip_id"])}
    for dropped, half in (("video", slice(0, None, 2)), ("audio", slice(1, None, 2))):
        with Path(f"a/predictions-ofos-no-{dropped}.csv").open() as file:
            row = next(csv.DictReader(file))
        index = row_of[row["clip_id"]]
        x = fuse(
            torch.from_numpy(store.read_batch("frames", [index])[:, ::2].copy()),
            torch.from_numpy(store.read_batch("stft_8", [index])),
            frame_permutations([row["clip_id"]], seed=0),
            strategy=trained_run.strategy,
            settings=trained_run.render_settings,
        )
        x[:, :, half] = 0
        expected = trained_run.predict_probabilities(x)[0].tolist()
        written = [float(row[f"p_{c}"]) for c in trained_run.classes]
        assert written == pytest.approx(expected, abs=2e-6)
