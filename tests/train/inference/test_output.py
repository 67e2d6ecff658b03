"""Predictions are printed as a table, or written to a complete CSV file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from mmder_train.inference.output import LineTable, csv_writer
from mmder_train.inference.predictor import Prediction, predict_clips
from mmder_train.inference.preprocessing import PreparedClip
from small_run import EMOTIONS, SmallRun, read_csv

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


def test_a_clip_is_printed_before_the_next_is_read(small_run: SmallRun) -> None:
    read: list[str] = []

    def clips() -> Iterator[PreparedClip]:
        for clip in small_run.clips:
            read.append(clip.clip_id)
            yield clip

    predictions = predict_clips(clips(), small_run.load("audio"))
    table = LineTable([c.clip_id for c in small_run.clips], EMOTIONS)
    for number, prediction in enumerate(predictions, start=1):
        assert len(read) == number
        line = table.line(prediction)
        assert line.startswith(prediction.clip_id)
        assert (prediction.emotion or prediction.status) in line


def test_an_interrupt_keeps_the_finished_rows(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each row is in the partial file as soon as it is written."""
    predictions = predict_clips(small_run.clips[:2], small_run.load("audio"))
    path = tmp_path / "p.csv"
    partial = tmp_path / "p.csv.partial"

    def write_both() -> None:
        with csv_writer(path, EMOTIONS, model_warning="chance") as write:
            for number, prediction in enumerate(predictions, start=1):
                write(prediction)
                assert len(read_csv(partial)) == number
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_both()
    assert not path.exists()
    assert f"2 finished predictions are in {partial}" in capsys.readouterr().err
    row = read_csv(partial)[0]
    assert row["warning"].startswith("chance")
    clip = small_run.clips[0]
    assert float(row["start_s"]) == pytest.approx(clip.start_s, abs=1e-3)
    assert float(row["clip_stop_s"]) == pytest.approx(clip.stop_s, abs=1e-3)
    # The store has a step of 3 frames at 30 per second: 16 of them cover 1.6 s.
    assert float(row["stop_s"]) == pytest.approx(clip.start_s + 1.6, abs=1e-3)
    assert "judged" in row["warning"]
