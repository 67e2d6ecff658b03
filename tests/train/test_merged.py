"""Seven classes from eight outputs: what is summed, and what it is called."""

import csv
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from fake_store import make_store
from mmder_store.emotions import LABEL_SETS, label_set
from mmder_train.cli.main import cli
from mmder_train.evaluation import class_merging
from mmder_train.evaluation.run_directory import FoldResult
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry
from mmder_train.models.videomae import PoolingConfig, Size
from mmder_train.reporting.comparison import compare_runs

EIGHT, SEVEN = LABEL_SETS["ravdess-8"], LABEL_SETS["ravdess-7"]
TITLE = "ravdess-7 from 8 outputs"


@given(
    logits=st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=1),
    place=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_shares_are_summed_and_none_is_lost(
    logits: list[list[float]], place: tuple[int, ...]
) -> None:
    raised = np.exp(np.array(logits))
    share = raised / raised.sum(axis=1, keepdims=True)
    found = class_merging.shares(share, place, classes=3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for k in range(3):
        want = sum(
            (share[:, i] for i in range(4) if place[i] == k), np.zeros(len(share))
        )
        np.testing.assert_allclose(found[:, k], want, atol=1e-12)


def test_calm_becomes_neutral_and_all_others_themselves() -> None:
    place = class_merging.class_map(EIGHT, SEVEN)
    assert place is not None
    found = {EIGHT.classes[i]: SEVEN.classes[k] for i, k in enumerate(place)}
    assert found.pop("calm") == "neutral"
    assert all(a == b for a, b in found.items())


def test_two_halves_beat_a_larger_third() -> None:
    """Neutral 0.3 and calm 0.3 are the most together; angry has 0.4."""
    share = dict.fromkeys(EIGHT.classes, 0.0)
    share |= {"neutral": 0.3, "calm": 0.3, "angry": 0.4}
    record = FoldResult(
        strategy="cfas",
        fold=1,
        speakers=("01",),
        train_clips=1,
        validated=(),
        history=({"epoch": 1, "loss": 0.0},),
        clip_id=("a",),
        speaker=("01",),
        label=(EIGHT.classes.index("calm"),),
        probability=(tuple(share.values()),),
    )
    assert EIGHT.classes[record.predicted()[0]] == "angry"
    (merger,) = class_merging.available_merges(EIGHT, LABEL_SETS.values())
    joined = merger.merge(record)
    assert SEVEN.classes[joined.predicted()[0]] == "neutral"
    assert SEVEN.classes[joined.label[0]] == "neutral"
    assert merger.title == TITLE


@pytest.mark.parametrize(
    ("trained", "fewer"),
    [
        (SEVEN, EIGHT),  # would cut neutral
        (SEVEN, SEVEN),
        (LABEL_SETS["cremad-6"], LABEL_SETS["cremad-4"]),  # other clips
        (  # other words count
            label_set("a", ("x", "y", "z"), column="rated_face"),
            label_set("b", ("x", "y"), {"z": "x"}),
        ),
        (  # cuts the class of y and z
            label_set("a", ("x", "w", "y"), {"z": "y"}),
            label_set("b", ("x", "z"), {"y": "x", "w": "x"}),
        ),
    ],
)
def test_what_does_not_merge(trained: Any, fewer: Any) -> None:
    assert class_merging.class_map(trained, fewer) is None
    assert class_merging.available_merges(trained, [fewer]) == ()


def test_a_name_with_a_path_in_it_is_passed_over() -> None:
    odd = label_set("../up", SEVEN.classes, {"calm": "neutral"})
    assert class_merging.class_map(EIGHT, odd) is not None
    assert class_merging.available_merges(EIGHT, [odd]) == ()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run of eight classes, and one of seven, of two strategies."""
    folder = tmp_path_factory.mktemp("runs")
    make = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(
            ENCODERS, "tiny", EncoderEntry(make=make, readout=PoolingConfig())
        )
        make_store(folder / "s.zarr", clips=32, speakers=4, planted="sound")
        for name in ("ravdess-8", "ravdess-7"):
            words = ["--store", str(folder / "s.zarr"), "--strategy", "audio,ffls"]
            words += ["--labels", name, "--epochs", "40", "--device", "cpu"]
            done = CliRunner().invoke(cli, [*words, "--out", str(folder / name)])
            assert done.exit_code == 0, done.output
            (folder / f"{name}.txt").write_text(done.stdout)
    return folder


def test_a_run_of_eight_tells_seven_too(runs: Path) -> None:
    results = json.loads((runs / "ravdess-8/results.json").read_text())
    found = results["strategies"]["audio"]
    (fewer,) = found["merged"]
    assert fewer["title"] == TITLE
    assert fewer["classes"] == list(SEVEN.classes)
    assert fewer["pooled"]["clips"] == found["pooled"]["clips"] == 32
    eight, rows = (
        list(csv.DictReader((runs / "ravdess-8" / name).read_text().splitlines()))
        for name in ("predictions-audio.csv", "predictions-audio-ravdess-7.csv")
    )
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    for before, after in zip(eight, rows, strict=True):
        share = {c: float(before[f"p_{c}"]) for c in EIGHT.classes}
        share["neutral"] += share.pop("calm")
        assert after["predicted"] == max(share, key=lambda c: share[c])
        assert after["true"] == SEVEN.class_of[before["true"]]
    assert fewer["pooled"]["war"] == pytest.approx(accuracy_score(true, predicted))
    uar = balanced_accuracy_score(true, predicted)
    assert fewer["pooled"]["uar"] == pytest.approx(uar)
    seven = json.loads((runs / "ravdess-7/results.json").read_text())
    assert seven["strategies"]["audio"]["merged"] == []


def test_the_tables_say_what_they_are_of(runs: Path) -> None:
    eight, seven = ((runs / f"ravdess-{n}.txt").read_text() for n in (8, 7))
    titles = re.findall(r"^(.*), percent *$", eight, flags=re.MULTILINE)
    assert titles == [
        "ffls (eq. 3)",
        f"ffls (eq. 3), {TITLE}",
        "audio (table I, A)",
        f"audio (table I, A), {TITLE}",
        "all strategies",
        f"all strategies, {TITLE}",
    ]
    assert TITLE not in seven
    last = seven.split("all strategies, percent")[1]
    assert re.findall(r"^\| (\w+)", last, flags=re.MULTILINE) == [
        "strategy",
        "ffls",
        "audio",
        "chance",
    ]


def test_a_finished_run_prints_the_same_tables(runs: Path) -> None:
    words = ["--store", str(runs / "s.zarr"), "--strategy", "audio,ffls"]
    words += ["--labels", "ravdess-8", "--epochs", "40", "--device", "cpu"]
    again = CliRunner().invoke(cli, [*words, "--out", str(runs / "ravdess-8")])
    assert again.stdout == (runs / "ravdess-8.txt").read_text()


def test_it_is_ranked_with_no_head_of_seven(runs: Path) -> None:
    found = compare_runs([runs / "ravdess-8", runs / "ravdess-7"])
    held = {r.labels: [(e.first.run, e.first.strategy) for e in r.rows] for r in found}
    assert {k: sorted(v) for k, v in held.items()} == {
        "ravdess-7": [("ravdess-7", "audio"), ("ravdess-7", "ffls")],
        TITLE: [("ravdess-8", "audio"), ("ravdess-8", "ffls")],
        "ravdess-8": [("ravdess-8", "audio"), ("ravdess-8", "ffls")],
    }
    assert all(not r.published for r in found if r.labels == TITLE)
