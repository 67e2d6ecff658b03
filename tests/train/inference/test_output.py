"""Predictions are printed as a table, or written to a complete CSV file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mmder_train.inference.predictor import Prediction
from small_run import SmallRun

Predict = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("forked_workers")


def test_a_single_clip_is_printed_with_all_classes(
    small_run: SmallRun, predict: Predict
) -> None:
    clip = small_run.media / "clip6.webm"
    words = ("--run", small_run.run_dir, "--strategy", "audio", "--fold", 1)
    completed = predict(clip, *words)
    assert completed.exit_code == 0, completed.output
    lines = completed.stdout.splitlines()
    emotion = completed.stdout.split(":")[1].split()[0]
    cells = [line.split("|")[1:3] for line in lines if "|" in line]
    assert emotion == cells[1][0].strip()
    assert sum(float(c[1]) for c in cells[1:]) == pytest.approx(100, abs=0.3)


def test_an_interrupt_leaves_no_file(
    small_run: SmallRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    predict: Predict,
) -> None:
    def interrupt(prediction: Prediction) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Prediction, "emotion", property(interrupt))
    words = ("--run", small_run.run_dir, "--strategy", "audio")
    completed = predict(
        small_run.media / "clip6.webm", *words, "--out", tmp_path / "p.csv"
    )
    assert completed.exit_code == 130
    assert "interrupted; no file is half-written" in completed.stderr
    assert list(tmp_path.iterdir()) == []
