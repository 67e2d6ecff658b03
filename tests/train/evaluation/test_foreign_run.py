"""Predictions of another program become a run that `compare` ranks with others."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from train_runs import Train, invoke, read_results

SEVEN = LABEL_SETS["ravdess-7"]
FOLD_OF = PROTOCOLS["ravdess-contiguous-6"].fold_of
Rows = list[dict[str, Any]]
Edit = Callable[[Rows], object]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def predict(store: Path) -> Rows:
    """Return predictions of all clips, every third of them wrong."""
    columns = Store(store).columns
    rows = []
    for i, clip_id in enumerate(columns["clip_id"]):
        label = SEVEN.label(columns["emotion"][i])
        guess = SEVEN.classes[(label + (i % 3 == 0)) % 7]
        rows.append({"clip_id": str(clip_id), "predicted": guess})
    return rows


def write_csv(name: str, rows: Rows) -> str:
    """Write a CSV file with the columns of the first row, and return its name."""
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def score(store: Path, *arguments: str) -> Result:
    """Run `mmder-train score`."""
    return invoke("score", "--store", str(store), *arguments)


def test_scores_match_sklearn(audio_store: Path) -> None:
    rows = predict(audio_store)
    write_csv("mine.csv", rows)
    result = score(audio_store, "mine.csv", "--out", "run")
    assert result.exit_code == 0, result.output
    true = [SEVEN.class_of[e] for e in Store(audio_store).columns["emotion"]]
    predicted = [r["predicted"] for r in rows]
    scores = read_results("run")["strategies"]["foreign-mine"]
    war, uar = accuracy_score(true, predicted), balanced_accuracy_score(true, predicted)
    assert scores["pooled"]["war"] == pytest.approx(war)
    assert scores["pooled"]["uar"] == pytest.approx(uar)
    assert f"WAR {100 * war:.1f} [" in result.output
    assert scores["foreign"]["file"] == "mine.csv"
    assert scores["foreign"]["speakers_checked"] is False


def test_predictions_of_a_run_have_its_scores(
    train_audio: Train, audio_store: Path
) -> None:
    """The file that a run writes is accepted, and yields the same folds."""
    words = ("--strategy", "audio", "--encoder", "tiny-56", "--epochs", "3")
    assert train_audio(*words, "--out", "own").exit_code == 0
    done = score(
        audio_store, "own/predictions-audio.csv", "--name", "My net 2", "--out", "f"
    )
    assert done.exit_code == 0, done.output
    own = read_results("own")["strategies"]["audio"]
    foreign = read_results("f")["strategies"]["foreign-my-net-2"]
    for name in ("mean", "std", "pooled", "chance"):
        assert foreign[name] == own[name]
    assert [f["confusion"] for f in foreign["folds"]] == [
        f["confusion"] for f in own["folds"]
    ]
    assert foreign["foreign"]["has_probabilities"]
    assert invoke("compare", "own", "f").exit_code == 0
    with Path("compare/compare.csv").open(newline="") as file:
        row, other = (r for r in csv.DictReader(file) if r["kind"] != "published")
    assert (row["kind"], other["kind"]) == ("own", "foreign")
    assert (row["modality"], other["modality"]) == ("A", "A")
    assert other["method"] == "My net 2, foreign predictions"
    assert other["speaker_independent"] == "not checked"
    for name in ("war", "war_low", "uar_high", "uar_fold_std"):
        assert row[name] == other[name]
    text = Path("compare/compare.md").read_text()
    assert "read from predictions-audio.csv; it was not checked" in text


def test_scores_of_any_scale_are_accepted(audio_store: Path) -> None:
    rows = predict(audio_store)
    wide = [
        {"clip_id": r["clip_id"]}
        | {f"p_{c}": -1.5 - (c != r["predicted"]) for c in SEVEN.classes}
        for r in rows
    ]
    assert score(audio_store, write_csv("a.csv", rows), "--out", "a").exit_code == 0
    assert score(audio_store, write_csv("b.csv", wide), "--out", "b").exit_code == 0
    a, b = (read_results(n)["strategies"][f"foreign-{n}"] for n in "ab")
    assert a["pooled"] == b["pooled"]
    assert not b["foreign"]["has_probabilities"]


def test_train_list_is_checked(audio_store: Path) -> None:
    columns = Store(audio_store).columns
    rows = predict(audio_store)
    train: Rows = [
        {"clip_id": str(c), "fold": k}
        for c, s in zip(columns["clip_id"], columns["speaker"], strict=True)
        for k in sorted({FOLD_OF[s] for s in columns["speaker"]})
        if FOLD_OF[s] != k
    ]
    write_csv("p.csv", rows)
    write_csv("t.csv", train)
    assert (
        score(audio_store, "p.csv", "--train-list", "t.csv", "--out", "a").exit_code
        == 0
    )
    assert invoke("compare", "a").exit_code == 0
    text = Path("compare/compare.md").read_text()
    assert "no training clip in t.csv is of a tested speaker" in text
    # A clip of another corpus has no known speaker.
    write_csv("t.csv", [*train, {"clip_id": "elsewhere", "fold": 1}])
    done = score(audio_store, "p.csv", "--train-list", "t.csv", "--out", "b")
    assert "1 of 47 training clips in t.csv are not in the store" in done.output
    foreign = read_results("b")["strategies"]["foreign-p"]["foreign"]
    assert not foreign["speakers_checked"]
    # The fold tests this very speaker.
    own = {
        "clip_id": str(columns["clip_id"][0]),
        "fold": FOLD_OF[columns["speaker"][0]],
    }
    write_csv("t.csv", [*train, own])
    done = score(audio_store, "p.csv", "--train-list", "t.csv", "--out", "c")
    assert done.exit_code == 1
    assert "t.csv, line 48: clip 'c0000' was trained on, and its speaker '01'" in (
        done.output
    )
    assert not Path("c").exists()


def remove(index: int) -> Edit:
    return lambda rows: rows.pop(index)


def put(index: int, **cells: object) -> Edit:
    return lambda rows: rows[index].update(cells)


def fill(name: str, value: Callable[[int], object]) -> Edit:
    return lambda rows: [r.update({name: value(i)}) for i, r in enumerate(rows)]


@pytest.mark.parametrize(
    ("edit", "arguments", "text"),
    [
        (remove(3), [], "no prediction for 1 of 23 clips that protocol ravdess-contig"),
        (remove(20), [], "the first 'c0020'; expected all of them. Use --fold 1"),
        (put(4, clip_id="x"), [], "line 6: no clip 'x' in store sound.zarr (1 such)"),
        (put(4, clip_id="c0001"), [], "line 6: clip 'c0001' is already in line 3"),
        (
            put(2, predicted="bored"),
            [],
            "line 4: predicted class 'bored'; expected one of",
        ),
        (
            fill("fold", lambda i: 1 if i < 8 else 2),
            [],
            "line 10: clip 'c0008' in fold 2, but protocol ravdess-contiguous-6 tests",
        ),
        (fill("fold", lambda _: "one"), [], "line 2: fold 'one'; expected a number"),
        (
            fill("speaker", lambda _: "01"),
            [],
            "has speaker '01', but '09' in the store",
        ),
        (fill("true", lambda _: "sad"), [], "'c0000' has true 'sad', but 'neutral' in"),
        (fill("p_happy", lambda _: 1), [], "no column 'p_angry'; expected the column"),
        (remove(0), ["--protocol", "two"], "--protocol two: this store has"),
        (remove(0), ["--labels", "two"], "--labels two: this store has ravdess-7"),
        (remove(0), ["--fold", "2"], "--fold 2: no clips in this store"),
        (remove(0), ["--modality", "av"], "has only audio. Use --modality audio"),
        (remove(0), ["--name", "?"], "--name ?: expected a name with letters"),
    ],
)
def test_wrong_predictions_are_one_line(
    edit: Edit, arguments: list[str], text: str, audio_store: Path
) -> None:
    rows = predict(audio_store)
    edit(rows)
    done = score(audio_store, write_csv("p.csv", rows), "--out", "run", *arguments)
    assert done.exit_code == 1
    assert text in done.output
    assert done.output.count("\n") == 1
    assert not Path("run").exists()


def test_one_fold(audio_store: Path) -> None:
    """Predictions of other folds are counted, and not scored."""
    write_csv("p.csv", predict(audio_store))
    done = score(audio_store, "p.csv", "--fold", "1", "--out", "run")
    assert done.exit_code == 0, done.output
    assert "15 predictions are not scored" in done.output
    (fold,) = read_results("run")["strategies"]["foreign-p"]["folds"]
    assert (fold["fold"], fold["clips"]) == (1, 8)


def test_other_predictions_do_not_overwrite_a_run(audio_store: Path) -> None:
    rows = predict(audio_store)
    assert score(audio_store, write_csv("p.csv", rows), "--out", "run").exit_code == 0
    before = Path("run/results.json").read_bytes()
    assert score(audio_store, "p.csv", "--out", "run").exit_code == 0
    rows[0]["predicted"] = "happy"
    done = score(audio_store, write_csv("p.csv", rows), "--out", "run")
    assert "run folder run: holds another run" in done.output
    assert Path("run/results.json").read_bytes() == before
    assert np.array(json.loads(before)["classes"]).tolist() == list(SEVEN.classes)
