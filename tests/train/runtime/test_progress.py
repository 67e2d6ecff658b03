"""The log file and the TensorBoard events of a run."""

from pathlib import Path

import pytest

from train_runs import FINETUNE, Train, read_all_numbers


def test_a_run_writes_a_log(train_audio: Train) -> None:
    train_audio(*FINETUNE, "--out", "a")
    lines = Path("a/log.txt").read_text().splitlines()
    assert sum("audio fold 1: epoch" in line for line in lines) == 4
    assert all("clips/s" in line for line in lines if ": epoch" in line)
    assert "WAR" in lines[-1]


def test_tensorboard_receives_scalars(train_audio: Train) -> None:
    done = train_audio(*FINETUNE, "--tensorboard", "--out", "a")
    assert done.exit_code == 0, done.output
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path("a/tensorboard")))
    events.Reload()
    losses = events.Scalars("audio fold 1/loss")
    assert [e.step for e in losses] == [1, 2, 3, 4]
    history = read_all_numbers("a")["every"][0]["history"]
    assert [e.value for e in losses] == pytest.approx([r["loss"] for r in history])
