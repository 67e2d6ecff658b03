"""The log file and the TensorBoard events of a run."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from mmder_cli import console_progress
from mmder_train.runtime import progress
from train_runs import FINETUNE, PACE, Train, read_all_numbers


def test_a_run_writes_a_log(train_audio: Train) -> None:
    train_audio(*FINETUNE, "--out", "a")
    lines = Path("a/log.txt").read_text().splitlines()
    assert sum("audio fold 1: epoch" in line for line in lines) == 4
    assert all("clips/s" in line for line in lines if ": epoch" in line)
    assert "WAR" in lines[-1]


def test_metrics_have_the_history_and_the_pace_of_each_epoch(
    train_audio: Train,
) -> None:
    train_audio(*FINETUNE, "--val", "speakers", "--warmup", "0", "--out", "a")
    lines = Path("a/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    (fold,) = read_all_numbers("a")["every"]
    tags = {"strategy": "audio", "fold": 1, "seed": 0}
    assert [{k: v for k, v in r.items() if k not in PACE} for r in rows] == [
        {**tags, **epoch} for epoch in fold["history"]
    ]
    assert rows[0].keys() >= {"loss", "val_loss", "val_war", "val_uar"}
    rates = [row["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    for row in rows:
        clips = row["clips_per_second"] * row["seconds"]
        assert clips == pytest.approx(fold["train_clips"])
        assert 0 <= row["waiting_fraction"] <= 1


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


def test_steps_are_printed_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line per 30 s, with the clips of earlier runs; the rate is that of this."""
    clock = SimpleNamespace(now_s=0.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(console_progress, "time", clock)
    file = io.StringIO()
    console = Console(file=file, force_terminal=False)
    with progress.Progress(console=console) as display:
        display.begin("cfas: encoding", clips=100, done=20)
        for clock.now_s in (10.0, 20.0, 30.0, 40.0, 60.0):
            display.step(clips=6, waited_s=0.0)
    assert file.getvalue().splitlines() == [
        "cfas: encoding: 38/100 clips, 0.6 clips/s, 1:43 left",
        "cfas: encoding: 50/100 clips, 0.5 clips/s, 1:40 left",
    ]


def test_the_bar_is_drawn_at_most_ten_times_per_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now_s=0.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(progress, "time", clock)
    shown: list[int] = []
    terminal = Console(file=io.StringIO(), force_terminal=True)
    with progress.Progress(console=terminal) as display:
        display.begin("fold", clips=600)
        assert display._bar is not None
        monkeypatch.setattr(
            display._bar, "update", lambda _, completed, info: shown.append(completed)
        )
        for step in range(300):  # three seconds
            clock.now_s = 1 + step / 100
            display.step(clips=2, waited_s=0.0)
    assert len(shown) == pytest.approx(30, abs=2)
    assert shown == sorted(shown)
    assert 580 <= shown[-1] <= 600
