"""Runs are scored, grouped by settings, and ranked only within one label set."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    recall_score,
)

from fake_runs import make_run, read_own_rows, read_predictions
from mmder_store.atomic_files import write_json
from mmder_store.emotions import LABEL_SETS
from mmder_train.evaluation.run_directory import RESULTS_VERSION
from mmder_train.reporting.comparison import compare_runs

Compare = Callable[..., Result]


def test_scores_match_sklearn(compare: Compare) -> None:
    make_run(Path("a"))
    completed = compare("a")
    assert completed.exit_code == 0, completed.output
    (row,) = read_own_rows()
    true, predicted = read_predictions("a")
    assert float(row["war"]) == pytest.approx(
        100 * accuracy_score(true, predicted), abs=1e-3
    )
    assert float(row["uar"]) == pytest.approx(
        100 * balanced_accuracy_score(true, predicted), abs=1e-3
    )
    names = LABEL_SETS["ravdess-7"].classes
    recall = recall_score(true, predicted, labels=names, average=None)
    assert [float(row[f"recall_{n}"]) for n in names] == pytest.approx(
        (100 * recall).tolist(), abs=1e-3
    )
    results = json.loads(Path("a/results.json").read_text())
    mean = results["strategies"]["cfas"]["mean"]
    assert float(row["war_fold_mean"]) == pytest.approx(100 * mean["war"], abs=1e-3)
    f1 = f1_score(true, predicted, average="weighted")
    assert float(row["weighted_f1"]) == pytest.approx(100 * f1, abs=1e-3)
    for score in ("war", "uar", "weighted_f1", f"recall_{names[0]}"):
        low, high = float(row[f"{score}_low"]), float(row[f"{score}_high"])
        assert low < float(row[score]) < high
    assert (row["folds"], row["speakers"], row["seeds"]) == ("1 2", "8", "1")


def test_runs_that_differ_only_in_the_seed_are_one_row(compare: Compare) -> None:
    for seed in (0, 1, 2):
        make_run(Path(f"s{seed}"), seed=seed, lr=0.1)
    make_run(Path("other"), seed=0, lr=0.2, skill=0.9)
    assert compare("s2", "other", "s0", "s1").exit_code == 0
    best, row = read_own_rows()
    assert (best["source"], best["seeds"]) == ("other", "1")
    assert (row["source"], row["seeds"]) == ("s0 s1 s2", "3")
    assert (best["method"], row["method"]) == ("cfas, lr 0.2", "cfas, lr 0.1")
    wars = [100 * accuracy_score(*read_predictions(f"s{seed}")) for seed in (0, 1, 2)]
    assert float(row["war"]) == pytest.approx(np.mean(wars), abs=1e-3)
    assert float(row["war_seed_std"]) == pytest.approx(np.std(wars), abs=1e-3)
    assert best["war_seed_std"] == ""


def test_names_contain_only_what_distinguishes_rows(compare: Compare) -> None:
    """A frozen encoder with random weights is marked in every report."""
    frozen: dict[str, Any] = {
        "encoder": "tiny",
        "weights": "none",
        "method": "linear-probe",
    }
    make_run(Path("a"), spectrogram="mfcc", lr=0.1, **frozen)
    make_run(Path("b"), spectrogram="stft", lr=0.2, draws=1, **frozen)
    weights: dict[str, Any] = {
        "encoder": "base",
        "weights": "w.pth",
        "method": "finetune",
    }
    make_run(Path("c"), spectrogram="stft", lr=0.2, draws=2, **weights)
    assert compare("a", "b", "c").exit_code == 0
    assert {row["source"]: row["method"] for row in read_own_rows()} == {
        "a": "cfas, tiny, random weights, spectrogram mfcc",
        "b": "cfas, tiny, random weights, spectrogram stft",
        "c": "cfas, base, w.pth, spectrogram stft",
    }
    page = Path("compare/compare.html").read_text()
    assert page.count('<span class="mark no">random weights</span>') == 2
    assert "never trained" in page


def test_label_sets_are_ranked_separately(compare: Compare) -> None:
    make_run(Path("seven"))
    make_run(Path("eight"), labels="ravdess-8")
    assert compare("seven", "eight").exit_code == 0
    seven, eight = compare_runs([Path("eight"), Path("seven")])
    assert (seven.labels, eight.labels) == ("ravdess-7", "ravdess-8")
    for ranking, name in ((seven, "seven"), (eight, "eight")):
        assert [row.first.run for row in ranking.rows] == [name]
        assert {r.setting.labels for r in ranking.published} == {ranking.labels}
        published = ranking.published + ranking.not_comparable
        assert {r.corpus for r in published} == {"ravdess"}
        other_labels = {
            r.setting.labels
            for r in ranking.not_comparable
            if r.setting.protocol in (None, "ravdess-contiguous-6")
        }
        assert other_labels == {"ravdess-7", "ravdess-8", None} - {ranking.labels}
    text = Path("compare/compare.md").read_text()
    first, second = re.split(r"^## ravdess-8", text, flags=re.MULTILINE)
    assert "| eight |" not in first
    assert "| seven |" not in second


def test_published_rows_are_ranked_on_their_folds(compare: Compare) -> None:
    """A row whose folds are known is comparable only with runs on these folds."""
    luna = "ravdess-luna-jimenez-5"
    make_run(Path("six"), labels="ravdess-8")
    make_run(Path("five"), labels="ravdess-8", protocol=luna)
    for run, other in (("six", luna), ("five", "ravdess-contiguous-6")):
        (ranking,) = compare_runs([Path(run)])
        assert {"ResLSTM-SA-h64", "HiCMAE-B"} <= {
            r.method for r in ranking.published + ranking.not_comparable
        }
        assert other not in {r.setting.protocol for r in ranking.published}
        assert other in {r.setting.protocol for r in ranking.not_comparable}
    assert compare("five").exit_code == 0
    text = Path("compare/compare.md").read_text()
    line = next(t for t in text.splitlines() if "ResLSTM" in t)
    assert line.startswith("| ResLSTM-SA-h64 | - | 62.30 | - | A | Krasnoproshin")
    assert luna in line


def test_different_clips_are_a_warning(compare: Compare) -> None:
    make_run(Path("a"))
    make_run(Path("b"), strategy="audio", draws=1)
    (ranking,) = compare_runs([Path("a"), Path("b")])
    assert ranking.warnings == ()
    remove_fold(Path("b"), strategy="audio", fold=2)
    (ranking,) = compare_runs([Path("a"), Path("b")])
    assert "not all tested on the same clips" in ranking.warnings[0]
    assert [row.folds for row in ranking.rows if row.first.run == "b"] == [[1]]


def test_a_protocol_of_unknown_speakers_is_marked(compare: Compare) -> None:
    make_run(Path("a"))
    (ranking,) = compare_runs([Path("a")])
    assert ranking.rows[0].speaker_independent == "yes"
    change_results("strategies", "cfas", "test_speakers", to="unknown")
    (ranking,) = compare_runs([Path("a")])
    assert ranking.rows[0].speaker_independent == "unknown: clips are split"
    assert compare("a").exit_code == 0
    assert "unknown: clips are split" in Path("compare/compare.md").read_text()


def remove_fold(run: Path, *, strategy: str, fold: int) -> None:
    """Remove a fold from the results and the predictions of a run."""
    results = json.loads((run / "results.json").read_text())
    scores = results["strategies"][strategy]
    scores["folds"] = [f for f in scores["folds"] if f["fold"] != fold]
    write_json(run / "results.json", results)
    table = run / f"predictions-{strategy}.csv"
    lines = table.read_text().splitlines()
    remaining = [line for line in lines if line.split(",")[2] != str(fold)]
    table.write_text("\n".join(remaining) + "\n")


def change_results(*keys: object, to: object) -> None:
    """Change one value in the results of run a."""
    path = Path("a/results.json")
    results = json.loads(path.read_text())
    inner: Any = results
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(results))


def damage(problem: str) -> None:
    """Damage run a, or create what a problem needs."""
    table = Path("a/predictions-cfas.csv")
    text = table.read_text()
    actions: dict[str, Callable[[], object]] = {
        "file": lambda: Path("file").write_text("text"),
        "empty": lambda: Path("empty").mkdir(),
        "unfinished": lambda: Path("a/results.json").unlink(),
        "no json": lambda: Path("a/results.json").write_text("{"),
        "list": lambda: Path("a/results.json").write_text("[]"),
        "format": lambda: change_results("format", to=9),
        "no store": lambda: change_results("store", to=None),
        "escape": lambda: change_results("strategies", to={"../b": {}}),
        "missing": table.unlink,
        "binary": lambda: table.write_bytes(b"\xff\xfe\x00"),
        "column": lambda: table.write_text(text.replace("speaker", "who", 1)),
        "class": lambda: table.write_text(text.replace("angry", "hungry")),
        "other": lambda: table.write_text(text.rsplit("\n", 2)[0] + "\n"),
        "speaker": lambda: table.write_text(text.replace(",08,2,", ",01,2,")),
        "twice": lambda: make_run(Path("b")),
    }
    if problem in actions:
        actions[problem]()


@pytest.mark.parametrize(
    ("problem", "words", "text"),
    [
        ("none", ["none"], "run none: no such folder"),
        ("file", ["file"], "run file: is a file; expected the folder"),
        ("empty", ["empty"], "run empty: no run in it"),
        ("unfinished", ["a"], "run a: not finished (2 folds are)"),
        ("no json", ["a"], "a/results.json: not JSON"),
        ("list", ["a"], "a/results.json: not written by mmder-train"),
        ("format", ["a"], f"run a: results of format 9, expected {RESULTS_VERSION}"),
        ("no store", ["a"], "results.json is not as mmder-train writes it"),
        ("escape", ["a"], "'../b' is not the name of a strategy"),
        ("missing", ["a"], "a/predictions-cfas.csv: missing"),
        ("binary", ["a"], "a/predictions-cfas.csv: not a predictions file"),
        ("column", ["a"], "no column speaker"),
        ("class", ["a"], "class 'hungry'; expected angry, disgust"),
        ("other", ["a"], "does not match results.json"),
        ("speaker", ["a"], "a speaker is tested in two folds"),
        ("twice", ["a", "b"], "runs a and b: the same run of cfas twice"),
        ("again", ["a", "a"], "the same run of cfas twice"),
        ("file", ["a", "--out", "file"], "--out file: is a file"),
    ],
)
def test_an_unusable_run_is_reported_in_one_line(
    compare: Compare, problem: str, words: list[str], text: str
) -> None:
    make_run(Path("a"))
    damage(problem)
    completed = compare(*words)
    assert completed.exit_code == 1, completed.output
    assert completed.stderr.startswith("mmder-train: error: ")
    assert completed.stderr.count("\n") == 1
    assert text in completed.stderr
    assert not Path("compare").exists()


def test_predictions_without_a_modality_are_rows_of_their_own(compare: Compare) -> None:
    """They are averaged over seeds as all others, also if one run lacks them."""
    make_run(Path("a"), seed=0, dropped="audio", drop_modality=["audio"])
    make_run(Path("b"), seed=1, dropped="audio", drop_modality=["audio"])
    make_run(Path("c"), seed=2, drop_modality=[])
    completed = compare("a", "b", "c")
    assert completed.exit_code == 0, completed.output
    both, without = read_own_rows()
    assert (both["method"], both["modality"], both["seeds"]) == ("cfas", "A+V", "3")
    assert (without["method"], without["modality"]) == ("cfas, no audio", "V")
    assert without["source"] == "a b"
    # Always the first of seven classes, which have equally many clips.
    assert float(without["uar"]) == pytest.approx(100 / 7, abs=1e-3)
