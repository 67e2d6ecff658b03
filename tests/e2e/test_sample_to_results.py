"""The whole pipeline as in the README: clips, store, fused batches, WAR and UAR."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib import rc_context

from mmder_store import Store
from run_cli import run, run_here

DOCS = Path(__file__).parents[2] / "docs"


def prepare(folder: Path, *, actors: int) -> Path:
    run_here("mmder_prep", "sample", "--out", folder / "sample", "--actors", actors)
    run("mmder_prep", "ravdess", "--root", folder / "sample", "--out", folder / "store")
    return folder / "store"


def check_whole(store: Path, *, clips: int) -> None:
    """Check that all clips are ok, none clamped, with a face in all searched frames."""
    opened = Store(store)
    columns = opened.columns
    assert len(opened) == clips
    assert set(columns["status"]) == {"ok"}
    assert (columns["clamped"] == 0).all()
    assert (columns["faces_found"] == columns["faces_searched"]).all()
    verified = run_here("mmder_prep", "verify", store).stdout
    assert "every byte matches the seal" in verified


def train(store: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    """Train, check that each clip is tested once, and return the folds."""
    words = ("--store", store, "--strategy", "fslf", *more, "--out", out)
    completed = run_here("mmder_train", *words)
    assert "WAR" in completed.stdout
    assert (out / "confusion-fslf.png").stat().st_size > 1000
    results = json.loads((out / "results.json").read_text())
    with (out / "predictions-fslf.csv").open() as file:
        tested = [row["clip_id"] for row in csv.DictReader(file)]
    assert sorted(tested) == sorted(Store(store).columns["clip_id"])
    assert results["store"]["sha256"] == Store(store).sha256
    folds: list[dict[str, Any]] = results["strategies"]["fslf"]["folds"]
    return folds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("e2e"), actors=2)


def test_every_generated_clip_is_ok_and_has_a_face(store: Path) -> None:
    check_whole(store, clips=16)


def test_each_speaker_is_tested_once_and_never_trained_on_in_that_fold(
    store: Path, tmp_path: Path
) -> None:
    """In this protocol actor 2 is in fold 1, and actor 1 in fold 5."""
    folds = train(store, tmp_path / "run", "--protocol", "ravdess-luna-jimenez-5")
    assert [f["fold"] for f in folds] == [1, 5]
    assert [f["speakers"] for f in folds] == [["02"], ["01"]]
    assert [f["train_clips"] for f in folds] == [8, 8]


@pytest.mark.slow
def test_more_actors_in_the_default_folds(tmp_path: Path) -> None:
    """Actors 1 to 4 are fold 1, actor 5 is fold 2."""
    store = prepare(tmp_path, actors=5)
    check_whole(store, clips=40)
    folds = train(store, tmp_path / "run")
    assert [f["speakers"] for f in folds] == [["01", "02", "03", "04"], ["05"]]
    assert [f["train_clips"] for f in folds] == [8, 32]


def test_prediction_from_the_media_file_equals_that_of_the_test_fold(
    store: Path, forked_workers: None, tmp_path: Path
) -> None:
    """The model that tested actor 2 predicts the same from the raw media files.

    The example of the documentation does so in a process of its own.
    """
    folds = ("--protocol", "ravdess-luna-jimenez-5", "--fold", 1)
    training = ("--out", tmp_path / "run", "--save-weights", "--epochs", 5)
    run_here("mmder_train", "--store", store, "--strategy", "ofos", *training, *folds)
    clips = sorted((store.parent / "sample").rglob("*-02.mp4"))[:3]
    options = ("--run", tmp_path / "run", "--out", tmp_path / "new.csv")
    completed = run_here("mmder_train", "predict", *clips, *options)
    assert "trained on" not in completed.stderr
    with (tmp_path / "run" / "predictions-ofos.csv").open() as file:
        tested = {row["clip_id"]: row for row in csv.DictReader(file)}
    with (tmp_path / "new.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == [clip.stem for clip in clips]
    for row in rows:
        assert row["emotion"] == tested[row["clip"]]["predicted"]
        for name in (c for c in row if c.startswith("p_")):
            expected = float(tested[row["clip"]][name])
            assert float(row[name]) == pytest.approx(expected, abs=2e-6)
    example = DOCS / "examples" / "predict_clips.py"
    printed = script(example, tmp_path / "run", clips[0])
    assert printed.split() == [clips[0].stem, rows[0]["emotion"]]


def script_here(path: Path, *words: str | Path) -> None:
    """Run a script of the documentation in this process."""
    with pytest.MonkeyPatch.context() as patch, rc_context():
        patch.setattr("sys.argv", [str(path), *map(str, words)])
        runpy.run_path(str(path), run_name="__main__")


def script(path: Path, *words: str | Path) -> str:
    """Run a script of the documentation and return what it prints."""
    command = [sys.executable, str(path), *map(str, words)]
    env = os.environ | {"PYTHONHASHSEED": "7"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=env
    ).stdout


def test_the_figure_of_the_strategies_is_drawn_from_the_store(
    store: Path, tmp_path: Path
) -> None:
    """The second figure is drawn by another process, with another hash seed."""
    words = (store, "--sample", store.parent / "sample", "--strategies")
    script_here(DOCS / "make_figures.py", *words, tmp_path / "a.svg")
    script(DOCS / "make_figures.py", *words, tmp_path / "b.svg")
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert drawn.count(b"<image ") == 6  # one per strategy


def test_no_figure_is_drawn_of_clips_that_are_not_generated(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        script_here(DOCS / "make_figures.py", store, "--sample", tmp_path)
    assert refused.value.code == 2
    assert "not made of the clips in" in capsys.readouterr().err
