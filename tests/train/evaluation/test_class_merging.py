"""Seven classes from eight outputs: merged scores, and their titles."""

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
    class_map=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_probabilities_are_summed_per_merged_class(
    logits: list[list[float]], class_map: tuple[int, ...]
) -> None:
    exp = np.exp(np.array(logits))
    probability = exp / exp.sum(axis=1, keepdims=True)
    merged = class_merging.merge_probabilities(probability, class_map, classes=3)
    np.testing.assert_allclose(merged.sum(axis=1), 1)
    for k in range(3):
        expected = sum(
            (probability[:, i] for i in range(4) if class_map[i] == k),
            np.zeros(len(probability)),
        )
        np.testing.assert_allclose(merged[:, k], expected, atol=1e-12)


def test_calm_is_merged_into_neutral_and_others_stay() -> None:
    class_map = class_merging.class_map(EIGHT, SEVEN)
    assert class_map is not None
    names = {EIGHT.classes[i]: SEVEN.classes[k] for i, k in enumerate(class_map)}
    assert names.pop("calm") == "neutral"
    assert all(a == b for a, b in names.items())


def test_two_merged_classes_exceed_a_larger_single_one() -> None:
    """Neutral 0.3 and calm 0.3 sum to more than angry 0.4."""
    probability = dict.fromkeys(EIGHT.classes, 0.0)
    probability |= {"neutral": 0.3, "calm": 0.3, "angry": 0.4}
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
        probability=(tuple(probability.values()),),
    )
    assert EIGHT.classes[record.predicted()[0]] == "angry"
    (merge,) = class_merging.available_merges(EIGHT, LABEL_SETS.values())
    merged = merge.merge(record)
    assert SEVEN.classes[merged.predicted()[0]] == "neutral"
    assert SEVEN.classes[merged.label[0]] == "neutral"
    assert merge.title == TITLE


@pytest.mark.parametrize(
    ("trained", "fewer"),
    [
        (SEVEN, EIGHT),  # would split neutral
        (SEVEN, SEVEN),
        (LABEL_SETS["cremad-6"], LABEL_SETS["cremad-4"]),  # other clips
        (  # other label columns
            label_set("a", ("x", "y", "z"), column="rated_face"),
            label_set("b", ("x", "y"), {"z": "x"}),
        ),
        (  # splits the class of y and z
            label_set("a", ("x", "w", "y"), {"z": "y"}),
            label_set("b", ("x", "z"), {"y": "x", "w": "x"}),
        ),
    ],
)
def test_label_sets_that_cannot_be_merged(trained: Any, fewer: Any) -> None:
    assert class_merging.class_map(trained, fewer) is None
    assert class_merging.available_merges(trained, [fewer]) == ()


def test_a_name_with_a_path_is_skipped() -> None:
    odd = label_set("../up", SEVEN.classes, {"calm": "neutral"})
    assert class_merging.class_map(EIGHT, odd) is not None
    assert class_merging.available_merges(EIGHT, [odd]) == ()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run with eight classes and one with seven, each of two strategies."""
    folder = tmp_path_factory.mktemp("runs")
    make = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1, patch_px=56))
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(
            ENCODERS, "tiny", EncoderEntry(make=make, readout=PoolingConfig())
        )
        make_store(folder / "s.zarr", clips=32, speakers=4, planted="sound")
        for name in ("ravdess-8", "ravdess-7"):
            words = ["--store", str(folder / "s.zarr"), "--strategy", "audio,ffls"]
            words += ["--labels", name, "--epochs", "40", "--device", "cpu"]
            result = CliRunner().invoke(cli, [*words, "--out", str(folder / name)])
            assert result.exit_code == 0, result.output
            (folder / f"{name}.txt").write_text(result.stdout)
    return folder


def test_a_run_with_eight_classes_also_scores_seven(runs: Path) -> None:
    results = json.loads((runs / "ravdess-8/results.json").read_text())
    scores = results["strategies"]["audio"]
    (merged,) = scores["merged"]
    assert merged["title"] == TITLE
    assert merged["classes"] == list(SEVEN.classes)
    assert merged["pooled"]["clips"] == scores["pooled"]["clips"] == 32
    eight, rows = (
        list(csv.DictReader((runs / "ravdess-8" / name).read_text().splitlines()))
        for name in ("predictions-audio.csv", "predictions-audio-ravdess-7.csv")
    )
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    for before, after in zip(eight, rows, strict=True):
        probability = {c: float(before[f"p_{c}"]) for c in EIGHT.classes}
        probability["neutral"] += probability.pop("calm")
        assert after["predicted"] == max(probability, key=lambda c: probability[c])
        assert after["true"] == SEVEN.class_of[before["true"]]
    assert merged["pooled"]["war"] == pytest.approx(accuracy_score(true, predicted))
    uar = balanced_accuracy_score(true, predicted)
    assert merged["pooled"]["uar"] == pytest.approx(uar)
    seven = json.loads((runs / "ravdess-7/results.json").read_text())
    assert seven["strategies"]["audio"]["merged"] == []


def test_tables_are_titled_by_strategy_and_label_set(runs: Path) -> None:
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


def test_merged_scores_are_ranked_separately(runs: Path) -> None:
    rankings = compare_runs([runs / "ravdess-8", runs / "ravdess-7"])
    ranked = {
        r.labels: sorted((e.first.run, e.first.strategy) for e in r.rows)
        for r in rankings
    }
    assert ranked == {
        "ravdess-7": [("ravdess-7", "audio"), ("ravdess-7", "ffls")],
        TITLE: [("ravdess-8", "audio"), ("ravdess-8", "ffls")],
        "ravdess-8": [("ravdess-8", "audio"), ("ravdess-8", "ffls")],
    }
    assert all(not r.published for r in rankings if r.labels == TITLE)
