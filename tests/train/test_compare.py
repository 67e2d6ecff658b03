"""Runs beside each other and beside published rows."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from mmder_store.atomic_files import write_json
from mmder_store.emotions import LABEL_SETS
from mmder_train.cli.main import cli
from mmder_train.evaluation import summary
from mmder_train.evaluation.metrics import confusion
from mmder_train.evaluation.run_directory import FoldResult, RunDirectory
from mmder_train.reporting import published_results
from mmder_train.reporting.comparison import compare_runs

SPEAKERS = [f"{i:02d}" for i in range(1, 9)]
Report = Callable[..., Result]


def make_run(
    path: Path,
    *,
    strategy: str = "cfas",
    labels: str = "ravdess-7",
    skill: float = 0.5,
    seed: int | None = 0,
    draws: int = 0,
    **config: object,
) -> None:
    """Write what a finished run leaves, of predictions that are drawn."""
    classes = LABEL_SETS[labels].classes
    rng = np.random.default_rng([draws, seed or 0])
    records = []
    for fold in (1, 2):
        who = SPEAKERS[4 * fold - 4 : 4 * fold]
        speaker = tuple(s for s in who for _ in range(3 * len(classes)))
        label = np.resize(np.arange(len(classes)), len(speaker))
        guess = rng.integers(len(classes), size=len(label))
        best = np.where(rng.random(len(label)) < skill, label, guess)
        share = np.full((len(label), len(classes)), 0.01)
        share[np.arange(len(label)), best] = 1 - 0.01 * (len(classes) - 1)
        records.append(
            FoldResult(
                strategy=strategy,
                fold=fold,
                speakers=tuple(who),
                train_clips=1,
                validated=(),
                history=({"epoch": 1, "loss": 0.5},),
                clip_id=tuple(f"f{fold}-{i}" for i in range(len(label))),
                speaker=speaker,
                label=tuple(label.tolist()),
                probability=tuple(map(tuple, share.tolist())),
            )
        )
    counts = {
        r.fold: confusion(np.array(r.label), r.predicted(), classes=len(classes))
        for r in records
    }
    about = {
        "config": {
            "strategies": [strategy],
            "labels": labels,
            "protocol": "ravdess-contiguous-6",
            **({} if seed is None else {"seed": seed}),
            **config,
        },
        "store": {"name": "store", "sha256": "0" * 64, "corpus": "ravdess"},
    }
    folder = RunDirectory(path=path)
    folder.open(about)
    for record in records:
        folder.finish_fold(record)
    folder.write_predictions(strategy, records, classes)
    more = {r.fold: {"speakers": list(r.speakers)} for r in records}
    found = {"equation": "eq. 1", "notes": [], **summary.summary(counts, more)}
    folder.finish(
        {
            "format": 1,
            **about,
            "classes": list(classes),
            "strategies": {strategy: found},
        }
    )


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        return CliRunner().invoke(cli, ["report", *words])

    return call


def rows(folder: str = "report") -> list[dict[str, str]]:
    with Path(folder, "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def own(folder: str = "report") -> list[dict[str, str]]:
    return [r for r in rows(folder) if r["kind"] == "own"]


def predictions(run: str, strategy: str = "cfas") -> tuple[list[str], list[str]]:
    text = Path(run, f"predictions-{strategy}.csv").read_text()
    found = list(csv.DictReader(text.splitlines()))
    return [r["true"] for r in found], [r["predicted"] for r in found]


def test_scores_are_those_of_sklearn(told: Report) -> None:
    make_run(Path("a"))
    done = told("a")
    assert done.exit_code == 0, done.output
    (row,) = own()
    true, predicted = predictions("a")
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
    assert float(row["war_low"]) < float(row["war"]) < float(row["war_high"])
    assert (row["folds"], row["speakers"], row["seeds"]) == ("1 2", "8", "1")


def test_runs_that_differ_in_the_seed_are_one_row(told: Report) -> None:
    for seed in (0, 1, 2):
        make_run(Path(f"s{seed}"), seed=seed, lr=0.1)
    make_run(Path("other"), seed=0, lr=0.2, skill=0.9)
    assert told("s2", "other", "s0", "s1").exit_code == 0
    best, row = own()
    assert (best["source"], best["seeds"]) == ("other", "1")
    assert (row["source"], row["seeds"]) == ("s0 s1 s2", "3")
    assert (best["method"], row["method"]) == ("cfas, lr 0.2", "cfas, lr 0.1")
    wars = [100 * accuracy_score(*predictions(f"s{seed}")) for seed in (0, 1, 2)]
    assert float(row["war"]) == pytest.approx(np.mean(wars), abs=1e-3)
    assert float(row["war_seed_std"]) == pytest.approx(np.std(wars), abs=1e-3)
    assert best["war_seed_std"] == ""


def test_other_label_sets_are_never_in_one_ranking(told: Report) -> None:
    make_run(Path("seven"))
    make_run(Path("eight"), labels="ravdess-8")
    assert told("seven", "eight").exit_code == 0
    seven, eight = compare_runs([Path("eight"), Path("seven")])
    assert (seven.labels, eight.labels) == ("ravdess-7", "ravdess-8")
    for ranking, name in ((seven, "seven"), (eight, "eight")):
        assert [e.first.run for e in ranking.rows] == [name]
        assert {r.setting.labels for r in ranking.published} == {ranking.labels}
        assert {r.corpus for r in ranking.published + ranking.elsewhere} == {"ravdess"}
        beside = {r.setting.labels for r in ranking.elsewhere}
        assert beside == {"ravdess-7", "ravdess-8", None} - {ranking.labels}
    text = Path("report/report.md").read_text()
    first, second = re.split(r"^## ravdess-8", text, flags=re.MULTILINE)
    assert "| eight |" not in first
    assert "| seven |" not in second


def test_the_page_needs_nothing_else_and_twice_the_same(told: Report) -> None:
    make_run(Path("a"))
    make_run(Path("b"), strategy="audio", seed=None, draws=1)
    told("a", "b", "--out", "one")
    told("b", "a", "--out", "two")
    for name in ("report.md", "report.csv", "report.html"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    page = Path("one/report.html").read_text()
    assert set(re.findall(r'src="([^,]*),', page)) == {"data:image/svg+xml;base64"}
    assert page.count("<img") == 3
    assert "http" not in page
    assert "MultiMAE-DER-FSLF" in page
    assert str(Path.cwd()) not in page


def test_names_from_a_run_are_no_markup(told: Report) -> None:
    make_run(Path("a"), encoder="<script>|x")
    told("a")
    assert "<script>" not in Path("report/report.html").read_text()
    assert "&lt;script>\\|x" in Path("report/report.md").read_text()


def test_other_clips_are_said(told: Report) -> None:
    make_run(Path("a"))
    make_run(Path("b"), strategy="audio", draws=1)
    (alike,) = compare_runs([Path("a"), Path("b")])
    assert alike.notes == ()
    drop(Path("b"), strategy="audio", fold=2)
    (odd,) = compare_runs([Path("a"), Path("b")])
    assert "Not all rows of this report were tested on the same clips" in odd.notes[0]
    assert [e.folds for e in odd.rows if e.first.run == "b"] == [[1]]


def drop(run: Path, *, strategy: str, fold: int) -> None:
    """Make it a run that tested one fold less."""
    results = json.loads((run / "results.json").read_text())
    found = results["strategies"][strategy]
    found["folds"] = [f for f in found["folds"] if f["fold"] != fold]
    write_json(run / "results.json", results)
    table = run / f"predictions-{strategy}.csv"
    lines = table.read_text().splitlines()
    kept = [x for x in lines if x.split(",")[2] != str(fold)]
    table.write_text("\n".join(kept) + "\n")


def change(path: str, *keys: object, to: object) -> None:
    found = json.loads(Path(path).read_text())
    inner: Any = found
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    Path(path).write_text(json.dumps(found))


def spoil(what: str) -> None:
    table = Path("a/predictions-cfas.csv")
    text = table.read_text()
    many: dict[str, Callable[[], object]] = {
        "file": lambda: Path("file").write_text("mine"),
        "empty": lambda: Path("empty").mkdir(),
        "unfinished": lambda: Path("a/results.json").unlink(),
        "no json": lambda: Path("a/results.json").write_text("{"),
        "list": lambda: Path("a/results.json").write_text("[]"),
        "format": lambda: change("a/results.json", "format", to=9),
        "no store": lambda: change("a/results.json", "store", to=None),
        "escape": lambda: change("a/results.json", "strategies", to={"../b": {}}),
        "missing": table.unlink,
        "binary": lambda: table.write_bytes(b"\xff\xfe\x00"),
        "column": lambda: table.write_text(text.replace("speaker", "who", 1)),
        "class": lambda: table.write_text(text.replace("angry", "hungry")),
        "other": lambda: table.write_text(text.rsplit("\n", 2)[0] + "\n"),
        "speaker": lambda: table.write_text(text.replace(",08,2,", ",01,2,")),
        "twice": lambda: make_run(Path("b")),
    }
    if what in many:
        many[what]()


@pytest.mark.parametrize(
    ("what", "words", "text"),
    [
        ("none", ["none"], "run none: no such folder"),
        ("file", ["file"], "run file: is a file; expected the folder"),
        ("empty", ["empty"], "run empty: no run in it"),
        ("unfinished", ["a"], "run a: not finished (2 folds are)"),
        ("no json", ["a"], "a/results.json: no JSON"),
        ("list", ["a"], "a/results.json: not written by mmder-train"),
        ("format", ["a"], "run a: results of format 9, expected 1"),
        ("no store", ["a"], "results.json is not as mmder-train writes it"),
        ("escape", ["a"], "strategy '../b' is no name of one"),
        ("missing", ["a"], "a/predictions-cfas.csv: missing"),
        ("binary", ["a"], "a/predictions-cfas.csv: no table of predictions"),
        ("column", ["a"], "no column speaker"),
        ("class", ["a"], "class 'hungry'; expected angry, disgust"),
        ("other", ["a"], "not what results.json tells"),
        ("speaker", ["a"], "a speaker is tested in two folds"),
        ("twice", ["a", "b"], "runs a and b: the same run of cfas twice"),
        ("again", ["a", "a"], "the same run of cfas twice"),
        ("file", ["a", "--out", "file"], "--out file: is a file"),
    ],
)
def test_what_is_no_finished_run_is_one_line(
    told: Report, what: str, words: list[str], text: str
) -> None:
    make_run(Path("a"))
    spoil(what)
    done = told(*words)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("mmder-train: error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert not Path("report").exists()


def test_published_rows_are_whole() -> None:
    paper = [r for r in published_results.ROWS if "Xiang et al. 2024" in r.source]
    sizes = {
        t: sum(r.source.endswith(f"Table {t}") for r in paper)
        for t in ("I", "II", "III")
    }
    assert sizes == {"I": 19, "II": 17, "III": 11}
    for row in published_results.ROWS:
        assert 0 < row.war < 100
        assert row.uar is None or 0 < row.uar < 100
        assert (row.setting.labels is None) == (row.setting.classes is None)
        if row.setting.labels in LABEL_SETS:
            classes = LABEL_SETS[row.setting.labels].classes
            assert len(classes) == row.setting.classes
    # Paper: IV-C, "by 4.41 % (83.61 % vs. 79.20 %)", 2.06 and 1.86.
    best = {
        c: max((r for r in paper if r.corpus == c), key=lambda r: r.war)
        for c in ("ravdess", "cremad", "iemocap")
    }
    assert {r.method for r in best.values()} == {"MultiMAE-DER-FSLF"}
    other = {
        "ravdess": ("AVT", 4.41),
        "cremad": ("RAVER", 2.06),
        "iemocap": ("AVBERT", 1.86),
    }
    for corpus, (method, ahead) in other.items():
        (row,) = [r for r in paper if (r.corpus, r.method) == (corpus, method)]
        assert best[corpus].war - row.war == pytest.approx(ahead)
