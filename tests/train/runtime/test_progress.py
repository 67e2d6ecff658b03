"""The log file and the TensorBoard events of a run."""

import time
from pathlib import Path

import pytest

from mmder_train.runtime import progress
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


def test_the_bar_is_drawn_at_most_ten_times_per_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) / 100)
    shown: list[int] = []
    with progress.silent() as display:
        display.begin("fold", clips=600)
        assert display._bar is not None
        monkeypatch.setattr(
            display._bar, "update", lambda _, advance, info: shown.append(advance)
        )
        for _ in range(300):  # three seconds
            display.step(clips=2, waited_s=0.0)
    assert len(shown) == pytest.approx(30, abs=2)
    # No clip is lost; those since the last drawing are added with the next one.
    assert 580 <= sum(shown) <= 600
