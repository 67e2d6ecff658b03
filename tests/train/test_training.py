"""`--method finetune` as a whole: stopped and resumed, judged, shared by processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from fake_store import make_store
from mmder_train.cli import options
from mmder_train.cli.main import cli
from mmder_train.config.recipes import RECIPES, resolve_settings
from mmder_train.config.train_config import TrainConfig
from mmder_train.runtime.signals import StopRequest
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.train_state import TrainState
from mmder_train.weights import load_weights

WORDS = (
    *("--strategy", "audio", "--method", "finetune", "--encoder", "tiny-56"),
    *("--spectrogram", "mel", "--fold", "1", "--batch-size", "4", "--epochs", "4"),
)
VARIED = (
    *("--augment", "audio", "--mask", "0.2", "--mixup", "0.3", "--cutmix", "1"),
    *("--drop-tokens", "0.5", "--drop-path", "0.2", "--label-smoothing", "0.1"),
    *("--ema-decay", "0.9", "--clip-grad", "1", "--layer-decay", "0.8"),
    *("--val", "speakers", "--grad-accum-steps", "2"),
)
"""Everything that draws, and everything that a checkpoint must hold."""
Train = Callable[..., Result]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "sound.zarr"
    make_store(path, clips=23, speakers=4, modality="audio", planted="sound")
    return path


@pytest.fixture
def train(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        return CliRunner().invoke(cli, ["--store", str(store), *words])

    return call


def told(folder: str) -> dict[str, Any]:
    """Give all numbers of a run: the results, and what each epoch told."""
    found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    folds = sorted(Path(folder, "folds").iterdir())
    return found | {"every": [json.loads(f.read_text()) for f in folds]}


def stop_at(
    monkeypatch: pytest.MonkeyPatch, step: int, stop: Callable[[], None]
) -> None:
    """Let something happen while a step is taken."""
    take = TrainState.train_step

    def taking(self: TrainState, *args: Any, **more: Any) -> float:
        if self.step == step:
            stop()
        return take(self, *args, **more)

    monkeypatch.setattr(TrainState, "take", taking)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_goes_on_to_the_last_digit(
    train: Train, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    words = (*WORDS, *VARIED, "--save-weights")
    assert train(*words, "--out", "whole").exit_code == 0
    with monkeypatch.context() as patched:
        stop_at(patched, 6, lambda: signal.raise_signal(number))
        stopped = train(*words, "--out", "parts")
    assert stopped.exit_code == 128 + number
    assert "stopped after step 7 of this fold, which is saved" in stopped.stderr
    assert stopped.stderr.strip().count("Traceback") == 0
    assert sorted(f.name for f in Path("parts/checkpoints").iterdir()) == [
        "audio-1-7.safetensors",
        "audio-1.json",
    ]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    Path("parts/checkpoints/.4711.audio-1-9.safetensors").touch()  # of a killed run
    done = train("--resume", "parts", "--save-weights")
    assert done.exit_code == 0, done.output
    assert "goes on after epoch" in done.stderr
    assert told("parts") == told("whole")
    name = "weights/audio-1.safetensors"
    assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()
    assert not Path("parts/checkpoints").exists()


def test_a_finished_fold_removes_its_own_files_alone(tmp_path: Path) -> None:
    """Other folds, and other processes of the group, may be writing theirs."""
    own = "audio-1.json", "audio-1-9.safetensors", ".47.audio-1-9.safetensors"
    others = (
        "audio-1-0.json", "audio-1-0-9.safetensors", ".47.audio-1-0-9.safetensors",
        ".47.audio-11-9.safetensors", ".47.audio-1-0.json", "x-audio-1-9.safetensors",
    )  # fmt: skip
    for name in (*own, *others):
        (tmp_path / name).touch()
    path = tmp_path / "audio-1"
    Checkpoint(path=path, identity={}, every_s=9.0, stop_request=StopRequest()).delete()
    assert {f.name for f in tmp_path.iterdir()} == set(others)


def test_a_crash_loses_no_more_than_since_it_was_saved(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise SystemExit(9)

    words = (*WORDS, *VARIED)
    train(*words, "--out", "whole")
    with monkeypatch.context() as patched:
        stop_at(patched, 5, crash)
        assert train(*words, "--out", "parts", "--save-every", "0").exit_code == 9
    done = train(*words, "--out", "parts")
    assert "step 5" in done.stderr
    assert told("parts") == told("whole")


def test_killed_in_the_middle_the_run_goes_on(store: Path, tmp_path: Path) -> None:
    words = ["--store", store, *WORDS, *VARIED, "--save-every", "0"]
    command = [sys.executable, "-c", "from mmder_train.cli import main; main()"]
    command += list(map(str, words))
    environment = os.environ | {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    for out in ("parts", "whole"):
        there = tmp_path / out
        process = subprocess.Popen(
            [*command, "--out", str(there)],
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if out == "parts":
            deadline = time.monotonic() + 120
            while not list(there.glob("checkpoints/*-[3-9].safetensors")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
            assert process.wait() == -signal.SIGKILL
            assert not (there / "results.json").exists()
            process = subprocess.Popen([*command, "--out", str(there)], env=environment)
        assert process.wait(timeout=120) == 0
    assert told(str(tmp_path / "parts")) == told(str(tmp_path / "whole"))


def test_a_checkpoint_of_something_else_is_refused(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = lambda: signal.raise_signal(signal.SIGTERM)  # noqa: E731
    with monkeypatch.context() as patched:
        stop_at(patched, 2, stop)
        train(*WORDS, "--out", "a")
    name = Path("a/checkpoints/audio-1.json")
    good = json.loads(name.read_text())
    tensors = Path("a/checkpoints", good["tensors"]).read_bytes()
    for change, text in (
        ({"of": "0"}, "is of a run with other settings"),
        ({"tensors": "../../run.json"}, "names a file elsewhere"),
        ({"tensors": "gone.safetensors"}, "lacks its tensors"),
        ({"step": "x"}, "cannot be read"),
    ):
        name.write_text(json.dumps(good | change))
        done = train(*WORDS, "--out", "a")
        assert done.exit_code == 1
        assert text in done.stderr
        assert "Delete it to learn this fold anew." in done.stderr
    name.write_text(json.dumps(good))
    Path("a/checkpoints", good["tensors"]).write_bytes(tensors[: len(tensors) // 2])
    assert "cannot be read" in train(*WORDS, "--out", "a").stderr
    name.write_text("{")
    assert "cannot be read" in train(*WORDS, "--out", "a").stderr
    name.unlink()
    assert train(*WORDS, "--out", "a").exit_code == 0


def test_validation_speakers_are_neither_trained_nor_tested(train: Train) -> None:
    done = train(
        *WORDS, "--val", "speakers", "--patience", "1", "--report-best-test-epoch"
    )
    assert done.exit_code == 0, done.output
    (folder,) = Path("runs").iterdir()
    (fold,) = told(str(folder))["every"]
    (row,) = told(str(folder))["strategies"]["audio"]["folds"]
    kept = set(fold["validated"])
    assert len(kept) == 1
    assert not kept & set(fold["speakers"])
    assert not kept & set(fold["speaker"])
    assert row["validated"] == fold["validated"]
    history = fold["history"]
    best = max(range(len(history)), key=lambda i: (history[i]["val_uar"], -i))
    assert row["epoch"] == best + 1
    assert row["train_loss"] == history[best]["loss"]
    # The tested weights are those of the epoch chosen, not of the last.
    assert row["uar"] == pytest.approx(history[best]["test_uar"])
    peers = told(str(folder))["strategies"]["audio"]["best_test_epoch"]
    assert peers["war"] == max(r["test_war"] for r in history)
    assert "best test epoch: no result" in done.stdout


def test_heads_are_validated_too(train: Train) -> None:
    words = ("--strategy", "audio", "--encoder", "tiny-56", "--epochs", "5")
    done = train(*words, "--val", "speakers", "--patience", "2", "--out", "a")
    assert done.exit_code == 0, done.output
    for fold in told("a")["every"]:
        assert len(fold["validated"]) == 1
        assert "val_uar" in fold["history"][0]
        assert len(fold["history"]) <= 5


@pytest.mark.parametrize("tune", ["finetune", "linear-probe"])
def test_two_processes_are_one(store: Path, tmp_path: Path, tune: str) -> None:
    """Of 23 clips some batches are odd, and the last one leaves a process without."""
    words = [*WORDS, "--store", str(store), "--batch-size", "3", "--epochs", "2"]
    words += ["--method", tune]
    program = [sys.executable, "-c", "from mmder_train.cli import main; main()"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--no-python"]
    environment = os.environ | {
        "PYTHONPATH": ":".join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    for name, launch in (("one", []), ("two", torchrun)):
        out = ["--out", str(tmp_path / name), "--device", "cpu"]
        if tune == "linear-probe":  # each encodes anew
            out += ["--feature-cache", str(tmp_path / f"{name}.features")]
        done = subprocess.run(
            [*launch, *program, *words, *out],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
    one, two = (told(str(tmp_path / name)) for name in ("one", "two"))
    assert two["config"]["world_size"] == 2
    a, b = one["every"][0], two["every"][0]
    assert a["clip_id"] == b["clip_id"]
    np.testing.assert_allclose(b["probability"], a["probability"], atol=1e-4)
    for x, y in zip(a["history"], b["history"], strict=True):
        assert y["loss"] == pytest.approx(x["loss"], rel=1e-4)
    with (tmp_path / "two/predictions-audio.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(a["clip_id"])


def test_the_mean_of_weights_is_what_is_kept(train: Train) -> None:
    for out, ema in (("a", "0"), ("b", "0.9")):
        train(*WORDS, "--ema-decay", ema, "--save-weights", "--out", out)
    a, b = (load_weights(f"{out}/weights/audio-1.safetensors").tensors for out in "ab")
    assert a.keys() == b.keys()
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_recipe_is_below_what_is_named() -> None:
    assert resolve_settings({}, None) == {
        "method": "linear-probe",
        "epochs": 100,
        "batch_size": 16,
        "lr": 1e-2,
        "recipe": "none",
    }
    found = resolve_settings({"lr": 1e-4, "drop_path": 0.0}, "videomae")
    assert found["lr"] == 1e-4
    assert found["drop_path"] == 0
    assert found["layer_decay"] == 0.75
    assert found["recipe"] == "videomae"


def test_every_recipe_is_a_valid_run(train: Train) -> None:
    rest = {"strategies": ("cfas",), "labels": "", "protocol": ""}
    for name in RECIPES:
        config = TrainConfig(**(rest | resolve_settings({}, name)))
        assert TrainConfig.from_json(config.to_json()) == config
    few = ("--strategy", "audio", "--fold", "1", "--epochs", "1")
    done = train(*few, "--recipe", "scratch", "--batch-size", "4", "--out", "a")
    assert done.exit_code == 0, done.output
    config = told("a")["config"]
    assert (config["recipe"], config["epochs"], config["spectrogram"]) == (
        "scratch",
        1,
        "mel",
    )


def test_a_run_keeps_a_log(train: Train) -> None:
    train(*WORDS, "--out", "a")
    lines = Path("a/log.txt").read_text().splitlines()
    assert sum("audio fold 1: epoch" in line for line in lines) == 4
    assert all("clips/s" in line for line in lines if ": epoch" in line)
    assert "WAR" in lines[-1]


def test_tensorboard_gets_scalars(train: Train) -> None:
    done = train(*WORDS, "--tensorboard", "--out", "a")
    assert done.exit_code == 0, done.output
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path("a/tensorboard")))
    events.Reload()
    losses = events.Scalars("audio fold 1/loss")
    assert [e.step for e in losses] == [1, 2, 3, 4]
    history = told("a")["every"][0]["history"]
    assert [e.value for e in losses] == pytest.approx([r["loss"] for r in history])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--resume", "none"), "run folder none: no run in it"),
        (("--resume", "a", "--lr", "1"), "takes all settings from a: leave out --lr"),
        (("--patience", "3"), "--patience: needs --val speakers"),
        (("--drop-path", "0.1"), "--drop-path: --method linear-probe has none"),
        ((*WORDS, "--drop-path", "1"), "--drop-path 1: expected 0 to below 1"),
        ((*WORDS, "--ema-decay", "nan"), "--ema-decay nan: expected 0 to below 1"),
        ((*WORDS, "--layer-decay", "0"), "--layer-decay 0: expected above 0"),
        ((*WORDS, "--mask", "0.7"), "--mask 0.7: expected 0 to 0.5"),
        ((*WORDS, "--augment", "video"), "--strategy audio has no pictures"),
    ],
)
def test_what_cannot_be_is_one_line(
    train: Train, words: tuple[str, ...], text: str
) -> None:
    done = train(*words)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert text in done.stderr


def test_nobody_left_to_train_on(tmp_path: Path) -> None:
    make_store(tmp_path / "s.zarr", clips=16, speakers=2, modality="audio")
    words = ["--store", str(tmp_path / "s.zarr"), *WORDS, "--val", "speakers"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "at least two are needed" in done.stderr


def test_torchruns_variables_must_be_right(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    monkeypatch.setenv("RANK", "0")
    done = train(*WORDS)
    assert done.exit_code == 1
    assert "torchrun: its processes cannot be joined" in done.stderr


def test_options_say_the_defaults_that_hold() -> None:
    assert tuple(RECIPES) == options.RECIPES
    usual = {f.name: f.default for f in fields(TrainConfig)}
    for parameter in cli.params:
        name = str(parameter.name)
        if name in usual and name not in ("strategies", "encoder", "device"):
            given = parameter.default
            if isinstance(given, int | float | str) and given != "all":
                assert given == usual[name], name
