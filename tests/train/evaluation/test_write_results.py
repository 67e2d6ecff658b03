"""Contents of ``results.json``, and the files of a finished run."""

import csv
from pathlib import Path

import pytest

from mmder_store.emotions import LABEL_SETS
from mmder_train.evaluation.build_results import fold_confusion, score_strategy
from mmder_train.evaluation.class_merging import available_merges
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.evaluation.write_results import write_results

LABELS = LABEL_SETS["ravdess-8"]
MERGES = available_merges(LABELS, [LABEL_SETS["ravdess-7"]])


def make_fold(number: int, *test_war: float) -> FoldResult:
    """Return a fold with one correct clip per class, and test scores per epoch."""
    classes = range(len(LABELS.classes))
    return FoldResult(
        strategy="cfas",
        fold=number,
        speakers=(f"s{number}",),
        train_clips=9,
        validated=(),
        history=tuple(
            {
                "epoch": k,
                "loss": 1.0 / k,
                "test_war": war,
                "test_uar": war / 2,
                "test_weighted_f1": war / 4,
            }
            if test_war != (0.0,)
            else {"epoch": k, "loss": 1.0}
            for k, war in enumerate(test_war, start=1)
        ),
        clip_id=tuple(f"{number}-{i}" for i in classes),
        speaker=tuple(f"s{number}" for _ in classes),
        label=tuple(classes),
        probability=tuple(tuple(float(i == j) for j in classes) for i in classes),
    )


def test_best_test_epochs_are_those_with_the_highest_war() -> None:
    folds = [make_fold(1, 0.2, 0.6, 0.4), make_fold(2, 0.8, 0.1, 0.8)]
    best = score_strategy(folds, labels=LABELS)["best_test_epoch"]
    assert best["epochs"] == [2, 1]
    assert best["war"] == pytest.approx(0.7)
    assert best["uar"] == pytest.approx(0.35)
    assert best["weighted_f1"] == pytest.approx(0.175)


def test_without_test_scores_there_is_no_best_test_epoch() -> None:
    scores = score_strategy([make_fold(1, 0.0)], labels=LABELS, merges=MERGES)
    assert "best_test_epoch" not in scores
    assert [m["labels"] for m in scores["merged"]] == ["ravdess-7"]
    assert fold_confusion(make_fold(1, 0.0), classes=8).trace() == 8


def test_a_finished_run_has_predictions_an_image_and_merged_tables(
    tmp_path: Path,
) -> None:
    folds = {"cfas": [make_fold(1, 0.0)]}
    results = {
        "config": {"encoder": "tiny", "weights": "w.pth", "spectrogram": "mel"},
        "classes": list(LABELS.classes),
        "strategies": {
            "cfas": score_strategy(folds["cfas"], labels=LABELS, merges=MERGES)
        },
    }
    write_results(RunDirectory(path=tmp_path), results, folds, merges=MERGES)
    assert {f.name for f in tmp_path.iterdir()} == {
        "results.json",
        "confusion-cfas.png",
        "confusion-cfas.svg",
        "confusion-cfas.pdf",
        "predictions-cfas.csv",
        "predictions-cfas-ravdess-7.csv",
    }
    with (tmp_path / "predictions-cfas-ravdess-7.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert "calm" not in {r["true"] for r in rows}
    svg = (tmp_path / "confusion-cfas.svg").read_text()
    assert "cfas: WAR 100.0%, UAR 100.0%" in svg
    assert "encoder tiny, weights w.pth, spectrogram mel" in svg
    for suffix in ("png", "pdf"):
        drawn = (tmp_path / f"confusion-cfas.{suffix}").read_bytes()
        assert b"spectrogram mel" in drawn
        # Equal scores yield equal bytes.
        write_results(RunDirectory(path=tmp_path), results, folds)
        assert (tmp_path / f"confusion-cfas.{suffix}").read_bytes() == drawn
