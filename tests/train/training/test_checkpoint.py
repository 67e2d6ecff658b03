"""Checkpoints: a resumed run has the same numbers as an uninterrupted one."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mmder_store.errors import SettingsError
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.signals import StopRequest
from mmder_train.runtime.tensor_files import save_tensors
from mmder_train.training import checkpoint
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.train_state import TrainState
from train_runs import (
    FINETUNE,
    RANDOMIZED,
    Train,
    invoke,
    read_all_numbers,
    read_metrics,
    run_before_step,
)


@pytest.fixture(scope="module")
def whole(audio_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train without interruption."""
    out = tmp_path_factory.mktemp("checkpoint") / "whole"
    words = ["--store", str(audio_store), *FINETUNE, *RANDOMIZED, "--save-weights"]
    result = invoke(*words, "--out", str(out))
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_by_a_signal_resumes_bit_for_bit(
    train_audio: Train, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    words = (*FINETUNE, *RANDOMIZED, "--save-weights")
    with monkeypatch.context() as patched:
        run_before_step(patched, 6, lambda: signal.raise_signal(number))
        stopped = train_audio(*words, "--out", "parts")
    assert stopped.exit_code == 128 + number
    assert "stopped after step 7 of this fold, which is saved" in stopped.stderr
    assert stopped.stderr.strip().count("Traceback") == 0
    assert sorted(f.name for f in Path("parts/checkpoints").iterdir()) == [
        "audio-1-7.safetensors",
        "audio-1.json",
    ]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    # A draft that a killed run leaves.
    Path("parts/checkpoints/.4711.audio-1-9.safetensors").touch()
    done = train_audio("--resume", "parts", "--save-weights")
    assert done.exit_code == 0, done.output
    assert "resuming after epoch" in done.stderr
    assert read_all_numbers("parts") == read_all_numbers(whole)
    assert read_metrics("parts") == read_metrics(whole)
    name = "weights/audio-1.safetensors"
    assert Path("parts", name).read_bytes() == (whole / name).read_bytes()
    assert not Path("parts/checkpoints").exists()


def test_a_finished_fold_deletes_only_its_own_files(tmp_path: Path) -> None:
    """Other folds and other training processes may be writing theirs."""
    own = "audio-1.json", "audio-1-9.safetensors", ".47.audio-1-9.safetensors"
    others = (
        "audio-1-0.json", "audio-1-0-9.safetensors", ".47.audio-1-0-9.safetensors",
        ".47.audio-11-9.safetensors", ".47.audio-1-0.json", "x-audio-1-9.safetensors",
    )  # fmt: skip
    for name in (*own, *others):
        (tmp_path / name).touch()
    Checkpoint(
        path=tmp_path / "audio-1",
        identity={},
        save_every_s=9.0,
        stop_request=StopRequest(),
    ).delete()
    assert {f.name for f in tmp_path.iterdir()} == set(others)


def test_a_crashed_run_resumes_from_its_last_checkpoint(
    train_audio: Train, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise SystemExit(9)

    words = (*FINETUNE, *RANDOMIZED)
    with monkeypatch.context() as patched:
        run_before_step(patched, 5, crash)
        crashed = train_audio(*words, "--out", "parts", "--save-every", "0")
        assert crashed.exit_code == 9
    # A line of an epoch whose checkpoint was lost, and one that the kill cut off.
    with Path("parts/metrics.jsonl").open("a") as file:
        file.write('{"strategy": "audio", "fold": 1, "seed": 0, "epoch": 3}\n{"str')
    done = train_audio(*words, "--out", "parts")
    assert "step 5" in done.stderr
    assert read_all_numbers("parts") == read_all_numbers(whole)
    assert read_metrics("parts") == read_metrics(whole)


def test_a_full_disk_names_the_checkpoint_and_the_run_resumes(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and no traceback; the last checkpoint that did fit is kept."""
    words = (*FINETUNE, *RANDOMIZED, "--save-every", "0")
    train_audio(*words, "--out", "whole")
    written = 0

    def limited(path: Path, tensors: dict[str, Any]) -> None:
        nonlocal written
        written += 1
        if written > 4:
            path.write_bytes(b"part")
            raise OSError(errno.ENOSPC, "full")
        save_tensors(path, tensors)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_tensors", limited)
        full = train_audio(*words, "--out", "parts")
    assert full.exit_code == 1
    last = full.stderr.strip().splitlines()[-1]
    assert last.endswith("checkpoints/audio-1-5.safetensors: No space left on device")
    assert "Traceback" not in full.output
    assert sorted(f.name for f in Path("parts/checkpoints").iterdir()) == [
        "audio-1-4.safetensors",
        "audio-1.json",
    ]
    done = train_audio(*words, "--out", "parts")
    assert "step 4" in done.stderr
    assert read_all_numbers("parts") == read_all_numbers("whole")


def test_training_continues_while_a_checkpoint_is_written(
    train_audio: Train, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write ends after the second step, which does not change its tensors."""
    released = threading.Event()
    overlapped: list[bool] = []
    after_step = Checkpoint.after_step

    def release(self: Checkpoint, state: TrainState) -> None:
        if state.step == 2:
            released.set()
        after_step(self, state)

    def slow(path: Path, tensors: dict[str, Any]) -> None:
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        overlapped.append(released.wait(30))
        for name, tensor in tensors.items():
            assert torch.equal(tensor, before[name]), name
        save_tensors(path, tensors)

    monkeypatch.setattr(Checkpoint, "after_step", release)
    monkeypatch.setattr(checkpoint, "save_tensors", slow)
    words = (*FINETUNE, *RANDOMIZED, "--save-every", "0")
    done = train_audio(*words, "--out", "a")
    assert done.exit_code == 0, done.output
    assert overlapped[0]
    assert read_all_numbers("a") == read_all_numbers(whole)
    assert not Path("a/checkpoints").exists()


def test_a_full_disk_at_the_last_checkpoint_is_one_line(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step follows that could report it. The fold is trained again from there."""
    words = (*FINETUNE, "--epochs", "1", "--save-every", "0")
    written: list[str] = []

    def record(path: Path, tensors: dict[str, Any]) -> None:
        written.append(path.stem.rpartition(".")[2])  # without the draft's prefix
        save_tensors(path, tensors)

    def full(path: Path, tensors: dict[str, Any]) -> None:
        if path.stem.endswith(written[-1]):
            raise OSError(errno.ENOSPC, "full")
        save_tensors(path, tensors)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_tensors", record)
        assert train_audio(*words, "--out", "whole").exit_code == 0
        patched.setattr(checkpoint, "save_tensors", full)
        done = train_audio(*words, "--out", "parts")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.output
    assert train_audio(*words, "--out", "parts").exit_code == 0
    assert read_all_numbers("parts") == read_all_numbers("whole")


def test_a_full_disk_names_the_log_file(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    Path("a").mkdir()
    Path("a/.hidden").touch()
    monkeypatch.setattr(RunDirectory, "log", Path("/dev/full"))
    full = train_audio(*FINETUNE, "--out", "a")
    assert full.exit_code == 1
    last = full.stderr.strip().splitlines()[-1]
    assert last == "mmder-train: error: /dev/full: No space left on device"


def test_a_second_run_on_the_same_folder_is_refused(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def start_again() -> None:
        refused.append(train_audio(*FINETUNE, "--out", "a"))

    with monkeypatch.context() as patched:
        run_before_step(patched, 3, start_again)
        done = train_audio(*FINETUNE, "--out", "a")
    assert done.exit_code == 0
    assert refused[0].exit_code == 1
    assert "another mmder-train writes to it" in refused[0].stderr
    assert refused[0].stderr.count("\n") == 1
    assert not Path("a/.lock").exists()


def test_a_killed_run_resumes(audio_store: Path, whole: Path, tmp_path: Path) -> None:
    """Another process resumes the run, and has the numbers of a third."""
    out = tmp_path / "parts"
    words = ["--store", str(audio_store), *FINETUNE, *RANDOMIZED, "--out", str(out)]
    words += ["--save-every", "0"]
    command = [sys.executable, "-c", "from mmder_train.cli import main; main()"]
    with subprocess.Popen(
        [*command, *words],
        env=os.environ | {"PYTHONPATH": ":".join(p for p in sys.path if p)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("checkpoints/*-[3-9].safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (out / "results.json").exists()
    assert invoke(*words).exit_code == 0
    assert read_all_numbers(out) == read_all_numbers(whole)


def test_a_checkpoint_of_another_run_is_rejected(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        run_before_step(patched, 2, lambda: signal.raise_signal(signal.SIGTERM))
        train_audio(*FINETUNE, "--out", "a")
    path = Path("a/checkpoints/audio-1.json")
    good = json.loads(path.read_text())
    tensors = Path("a/checkpoints", good["tensors"]).read_bytes()
    for change, text in (
        ({"of": "0"}, "is of a run with other settings"),
        ({"tensors": "../../run.json"}, "names a file in another folder"),
        ({"tensors": "gone.safetensors"}, "lacks its tensors"),
        ({"step": "x"}, "cannot be read"),
    ):
        path.write_text(json.dumps(good | change))
        done = train_audio(*FINETUNE, "--out", "a")
        assert done.exit_code == 1
        assert text in done.stderr
        assert "Delete it to train this fold from the beginning." in done.stderr
    path.write_text(json.dumps(good))
    Path("a/checkpoints", good["tensors"]).write_bytes(tensors[: len(tensors) // 2])
    assert "cannot be read" in train_audio(*FINETUNE, "--out", "a").stderr
    path.write_text("{")
    assert "cannot be read" in train_audio(*FINETUNE, "--out", "a").stderr
    path.unlink()
    assert train_audio(*FINETUNE, "--out", "a").exit_code == 0


class SecondCannotRead(WorldInfo):
    """Two processes, of which the other does not see the tensors."""

    def all_gather(self, value: object) -> list[Any]:
        return [value, "lacks its tensors"]


def test_a_folder_that_one_process_cannot_read_is_named(tmp_path: Path) -> None:
    """All processes raise the same error, so that none waits for another."""
    files = Checkpoint(
        path=tmp_path / "audio-1",
        identity={},
        save_every_s=9.0,
        stop_request=StopRequest(),
        world=SecondCannotRead(world_size=2),
    )
    text = r"lacks its tensors in process 1 of 2\. Put the folder of the run where all"
    with pytest.raises(SettingsError, match=text):
        files._raise_for_all("")
    with pytest.raises(SettingsError, match=r"lacks its tensors\. Delete it"):
        files._raise_for_all("lacks its tensors")
