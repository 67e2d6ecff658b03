"""A model trained on a whole store is tested on others, over common classes."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from fake_store import make_store
from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_store.protocols import PROTOCOLS, FoldProtocol
from mmder_train import FusionDataset
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import whole
from mmder_train.experiment.cross_corpus_setup import (
    setup_cross_corpus_tests,
    speaker_separation,
)
from mmder_train.experiment.linear_probe import linear_probe
from mmder_train.experiment.setup import setup_experiment
from mmder_train.experiment.types import RuntimeContext
from mmder_train.models.registry import build_encoder
from mmder_train.runtime.progress import silent
from mmder_train.weights.seen_clips import SeenClips
from train_runs import Train, bare_weights, invoke, read_results

SIX = ("angry", "disgust", "fearful", "happy", "neutral", "sad")
AUDIO = ("--strategy", "audio", "--epochs", "5")


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make stores that a run on ``sound.zarr`` can, or cannot, be tested on.

    They have the same names of speakers as each other, and as ``sound.zarr``.
    """
    folder = tmp_path_factory.mktemp("others")
    for name, options in {
        "six": {"corpus": "six", "labels": ("cremad-6",), "seed": 1},
        "seven": {"corpus": "seven", "seed": 2},
        "same corpus": {"seed": 3},
        "copies": {"corpus": "copies"},
        "step": {"corpus": "step", "step_frames": 5.0, "seed": 4},
        "none": {
            "corpus": "none",
            "emotions": lambda i: ("excited", "frustrated", "happy")[i % 3],
            "labels": ("iemocap-4",),
            "seed": 5,
        },
    }.items():
        make_store(
            folder / name,
            clips=16 if name in ("six", "seven") else 8,
            speakers=2,
            modality="audio",
            planted="sound",
            **options,  # type: ignore[arg-type]
        )
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_match_sklearn_over_common_classes(train: Train, others: Path) -> None:
    result = train(
        "sound.zarr", *AUDIO, "--test-store", str(others / "six"), "--out", "run"
    )
    assert result.exit_code == 0, result.output
    assert "(trained only: surprised)" in result.output
    assert "test store six: 4 clips excluded: 2 no class for 'calm'" in result.output
    line = r"\| six +\| 6 +\| surprised +\| +12 \|.*\| 16\.7 / 16\.7 / 4\.8 \|"
    assert re.search(line, result.output)
    (entry,) = read_results("run")["strategies"]["audio"]["cross_corpus"]
    assert entry["classes"] == list(SIX)
    assert (entry["dropped_train"], entry["dropped_test"]) == (["surprised"], [])
    assert entry["store"]["sha256"] == Store(others / "six").sha256
    assert entry["folds"][0]["train_clips"] == 24
    rows = read_rows(Path("run", f"predictions-{entry['predictions']}.csv"))
    columns = Store(others / "six").columns
    emotion_of = dict(zip(columns["clip_id"], columns["emotion"], strict=True))
    true = [emotion_of[r["clip_id"]] for r in rows]
    predicted = [r["predicted"] for r in rows]
    assert len(rows) == 12
    assert set(true) == set(SIX)
    assert entry["pooled"]["war"] == pytest.approx(accuracy_score(true, predicted))
    assert entry["pooled"]["uar"] == pytest.approx(
        balanced_accuracy_score(true, predicted)
    )
    for row in rows:
        assert sum(float(row[f"p_{c}"]) for c in SIX) == pytest.approx(1, abs=1e-5)


def test_predictions_are_those_of_a_head_trained_on_all_clips(
    stores: Path, others: Path, train: Train
) -> None:
    """The oracle encodes the test clips itself and drops the other outputs."""
    done = train(
        "sound.zarr", *AUDIO, "--test-store", str(others / "six"), "--out", "run"
    )
    assert done.exit_code == 0, done.output
    config = TrainConfig(
        strategies=("audio",),
        labels="",
        protocol="",
        epochs=5,
        batch_size=16,
        lr=1e-2,
    )
    experiment = setup_experiment(Store(stores / "sound.zarr"), config)
    (run,) = experiment.strategies
    on_all = replace(run, folds=(whole(24),))
    context = RuntimeContext(progress=silent(), checkpoints=Path("none"))
    (output,) = linear_probe(
        replace(experiment, strategies=(on_all,)), [(on_all, on_all.folds)], context
    )
    torch.manual_seed(0)
    encoder = build_encoder("tiny").eval()
    store = Store(others / "six")
    kept = [experiment.labels.classes.index(c) for c in SIX]
    expected = {}
    for side in ("train", "test"):
        dataset = FusionDataset(store, strategy="audio", side=side, fold=1)
        with torch.no_grad():
            for i in range(len(dataset)):
                item = dataset[i]
                logits = output.head(encoder(item["x"][None]))[0, kept]
                expected[item["clip_id"]] = logits.softmax(0).numpy()
    (entry,) = read_results("run")["strategies"]["audio"]["cross_corpus"]
    rows = read_rows(Path("run", f"predictions-{entry['predictions']}.csv"))
    assert {r["clip_id"] for r in rows} == set(expected)
    for row in rows:
        found = [float(row[f"p_{c}"]) for c in SIX]
        np.testing.assert_allclose(found, expected[row["clip_id"]], atol=1e-4)


def test_folds_do_not_depend_on_test_stores(train: Train, others: Path) -> None:
    assert train("sound.zarr", *AUDIO, "--out", "a").exit_code == 0
    words = ("--test-store", str(others / "six"), "--test-store", str(others / "seven"))
    assert train("sound.zarr", *AUDIO, *words, "--out", "b").exit_code == 0
    a, b = (read_results(name)["strategies"]["audio"] for name in "ab")
    entries = b.pop("cross_corpus")
    assert a == b
    assert [e["store"]["name"] for e in entries] == ["six", "seven"]
    done = train("sound.zarr", *AUDIO, "--out", "b")
    assert done.exit_code == 1
    assert "run folder b: holds another run (test_stores" in done.output
    done = train("sound.zarr", "--resume", "b")
    assert done.exit_code == 1
    assert "tested on six, seven, too. Name the path of each with" in done.output


def test_finetuning_is_tested_and_resumed(train: Train, others: Path) -> None:
    words = (
        *("--strategy", "audio", "--method", "finetune", "--epochs", "1"),
        *("--batch-size", "8", "--fold", "1", "--val", "speakers"),
        *("--test-store", str(others / "six"), "--test-store", str(others / "seven")),
    )
    assert train("sound.zarr", *words, "--out", "run").exit_code == 0
    before = Path("run/results.json").read_bytes()
    entries = json.loads(before)["strategies"]["audio"]["cross_corpus"]
    assert all(e["folds"][0]["validated"] for e in entries)
    files = sorted(Path("run/cross-corpus").iterdir())
    contents = [f.read_bytes() for f in files]
    Path("run/results.json").unlink()
    files[1].unlink()
    done = train("sound.zarr", *words, "--out", "run")
    assert done.exit_code == 0, done.output
    assert "audio on six" not in done.output or "audio on seven" not in done.output
    assert Path("run/results.json").read_bytes() == before
    assert [f.read_bytes() for f in files] == contents


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["same corpus"], "1 of its speakers are in sound.zarr, too, the first '01'"),
        (["copies"], "8 of its clips are in sound.zarr, too, the first 'c0000'"),
        (["step"], "other settings than sound.zarr (step_frames 6.0 and 5.0)"),
        (["six", "six"], "the same store twice. Name it once."),
    ],
)
def test_unsuitable_stores_are_one_line(
    names: list[str], text: str, train: Train, others: Path
) -> None:
    words = [w for n in names for w in ("--test-store", str(others / n))]
    done = train("sound.zarr", *AUDIO, *words, "--out", "run")
    assert done.exit_code == 1
    assert text in done.output
    assert done.output.count("\n") == 1
    assert not Path("run").exists()


def test_stores_need_a_run_of_one_seed(train: Train, others: Path) -> None:
    words = ("--test-store", str(others / "six"), "--seed", "0,1", "--out", "run")
    done = train("sound.zarr", *AUDIO, *words)
    assert done.exit_code == 1
    assert "--test-store: needs one seed, found 2 in --seed" in done.stderr
    assert not Path("run").exists()


def test_seen_test_clips_are_refused_or_marked(stores: Path, others: Path) -> None:
    seen = SeenClips(clips=8, speakers={"six": ("01",), "handmade": ("01",)})
    loaded = bare_weights({"pretraining": {"seen": seen.to_json()}})
    config = TrainConfig(
        strategies=("audio",), labels="", protocol="", epochs=1, batch_size=1, lr=1
    )
    experiment = setup_experiment(Store(stores / "sound.zarr"), config)
    experiment = replace(experiment, weights=loaded)
    tested = [(Store(others / "six"), None)]
    with pytest.raises(SettingsError) as caught:
        setup_cross_corpus_tests(experiment, tested)
    assert "weights w.safetensors have seen 6 of its 12 clips" in str(caught.value)
    allowed = replace(experiment, config=replace(config, allow_seen=True))
    (test,) = setup_cross_corpus_tests(allowed, tested)
    assert test.runs[0].seen[0].clips == 6
    assert "not valid: 6 of 12 test clips were seen" in test.runs[0].warnings[-1]
    metadata = {"store_sha256": tested[0][0].sha256}
    own = replace(experiment, weights=replace(loaded, metadata=metadata))
    (test,) = setup_cross_corpus_tests(own, tested)
    assert "w.safetensors were trained on this very store" in test.runs[0].warnings[-1]
    # Nothing is known about another corpus.
    (test,) = setup_cross_corpus_tests(experiment, [(Store(others / "seven"), None)])
    assert test.runs[0].seen == ()


def test_people_of_unnamed_speakers_may_be_in_both_stores(
    tmp_path: Path, others: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = FoldProtocol(
        name="clips-1", fold_of={"01": 1}, source="list", speakers="unknown"
    )
    monkeypatch.setitem(PROTOCOLS, "clips-1", split)
    films, more, other = (
        make_store(
            tmp_path / name,
            clips=8,
            speakers=1,
            modality="audio",
            corpus=corpus,
            protocols=("clips-1",),
        )
        for name, corpus in (("a", "films"), ("b", "films"), ("c", "other films"))
    )
    assert speaker_separation(films, more) == "unknown"
    assert speaker_separation(films, other) == "apart"
    assert speaker_separation(Store(others / "six"), Store(others / "six")) == "apart"


def test_stores_need_two_common_classes(stores: Path, others: Path) -> None:
    """Excited clips are happy in one label set, and have no class in the other."""
    config = TrainConfig(
        strategies=("audio",), labels="", protocol="", epochs=1, batch_size=1, lr=1
    )
    experiment = setup_experiment(Store(stores / "sound.zarr"), config)
    (test,) = setup_cross_corpus_tests(experiment, [(Store(others / "none"), None)])
    assert test.classes == ("angry", "happy", "neutral", "sad")
    assert test.dropped_train == ("disgust", "fearful", "surprised")
    # Three of the eight clips are frustrated and have no class.
    assert len(test.runs[0].clips.row) == 5


def test_compare_shows_stores_by_stores(
    train: Train, stores: Path, others: Path
) -> None:
    sound, six = stores / "sound.zarr", others / "six"
    words = ("--store", str(six), "--device", "cpu", *AUDIO, "--protocol", "speakers-5")
    done = train("sound.zarr", *AUDIO, "--test-store", str(six), "--out", "a")
    assert done.exit_code == 0, done.output
    done = invoke(*words, "--test-store", str(sound), "--out", "b")
    assert done.exit_code == 0, done.output
    assert invoke("compare", "a", "b").exit_code == 0
    rows = read_rows(Path("compare/compare.csv"))
    crossed = {
        (r["train_store"], r["test_store"]): r
        for r in rows
        if r["kind"] == "cross-corpus"
    }
    assert set(crossed) == {("sound.zarr", "six"), ("six", "sound.zarr")}
    (entry,) = read_results("a")["strategies"]["audio"]["cross_corpus"]
    there = crossed["sound.zarr", "six"]
    assert float(there["war"]) == pytest.approx(100 * entry["pooled"]["war"], abs=1e-3)
    assert float(there["war_low"]) <= float(there["war"]) <= float(there["war_high"])
    text = Path("compare/compare.md").read_text()
    table = text[text.index("## Cross-corpus results") :]
    assert "| trained on | method | on six | on sound.zarr |" in table
    assert "sound.zarr to six: 6 classes; only sound.zarr has surprised" in table
    assert table.count("classes, folds |") == 2
    assert "Cross-corpus results" in Path("compare/compare.html").read_text()
