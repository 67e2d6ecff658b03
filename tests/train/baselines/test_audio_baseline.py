"""The baseline learns from the audio, on the same clips and folds as an encoder."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from fake_store import make_store
from mmder_train.baselines import audio_baseline
from mmder_train.cli import baseline
from mmder_train.cli.main import cli

RunBaseline = Callable[..., Result]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    make_store(
        folder / "signal.zarr", clips=48, speakers=6, modality="audio", planted="sound"
    )
    make_store(folder / "noise.zarr", clips=48, speakers=6, modality="audio")
    make_store(folder / "one-speaker.zarr", clips=8, speakers=1, modality="audio")
    make_store(
        folder / "holes.zarr",
        clips=32,
        speakers=4,
        status={0: "no_audio", 1: "no_face"},
        planted="sound",
    )
    return folder


@pytest.fixture
def run_baseline(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunBaseline:
    """Run `mmder-train baseline` on one of the stores."""
    monkeypatch.chdir(tmp_path)

    def call(store: str, *words: str) -> Result:
        arguments = ["baseline", "--store", str(stores / store), *words]
        return CliRunner().invoke(cli, arguments)

    return call


def read_csv(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.mark.parametrize("model", baseline.MODELS)
def test_it_learns_a_planted_signal_and_is_deterministic(
    run_baseline: RunBaseline, model: str
) -> None:
    completed = run_baseline("signal.zarr", "--model", model, "--out", "a")
    assert completed.exit_code == 0, completed.output
    results: dict[str, Any] = json.loads(Path("a/results.json").read_text())
    name = f"baseline-{model}"
    pooled = results["strategies"][name]["pooled"]
    assert pooled["uar"] > 0.6
    rows = read_csv(f"a/predictions-{name}.csv")
    assert len(rows) == 48
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    assert pooled["war"] == pytest.approx(accuracy_score(true, predicted))
    assert pooled["uar"] == pytest.approx(balanced_accuracy_score(true, predicted))
    for fold in results["strategies"][name]["folds"]:
        tested = {r["speaker"] for r in rows if int(r["fold"]) == fold["fold"]}
        assert tested == set(fold["speakers"])
        assert fold["train_clips"] + fold["clips"] == 48

    again = run_baseline("signal.zarr", "--model", model, "--out", "b")
    assert again.stdout == completed.stdout.replace("a/", "b/")
    for file in ("results.json", f"predictions-{name}.csv"):
        assert Path("a", file).read_bytes() == Path("b", file).read_bytes()


def test_it_learns_nothing_from_noise(run_baseline: RunBaseline) -> None:
    completed = run_baseline("noise.zarr", "--out", "a")
    assert completed.exit_code == 0, completed.output
    results = json.loads(Path("a/results.json").read_text())
    assert results["strategies"]["baseline-logistic"]["pooled"]["uar"] < 0.35


def test_clips_and_folds_are_those_of_an_encoder(
    run_baseline: RunBaseline, stores: Path
) -> None:
    words = ["--labels", "ravdess-8"]
    assert run_baseline("holes.zarr", *words, "--out", "a").exit_code == 0
    words += ["--store", str(stores / "holes.zarr"), "--strategy", "audio"]
    words += ["--epochs", "1", "--out", "b", "--device", "cpu"]
    completed = CliRunner().invoke(cli, words)
    assert completed.exit_code == 0, completed.output
    columns = ("clip_id", "speaker", "fold", "true")
    rows = [
        [[row[c] for c in columns] for row in read_csv(name)]
        for name in ("a/predictions-baseline-logistic.csv", "b/predictions-audio.csv")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 31


def test_a_finished_baseline_is_printed_and_not_repeated(
    run_baseline: RunBaseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_baseline("signal.zarr", "--fold", "1")
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("signal-baseline-logistic-")
    monkeypatch.delattr(audio_baseline, "load_statistics")
    again = run_baseline("signal.zarr", "--fold", "1")
    assert (again.exit_code, again.stdout) == (0, first.stdout)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.zarr",), "make a store with mmder-prep"),
        (("one-speaker.zarr",), "all clips are of speaker '01'"),
        (("signal.zarr", "--labels", "five"), "this store has ravdess-7, ravdess-8"),
        (("signal.zarr", "--protocol", "x"), "this store has ravdess-contiguous-6"),
        (("signal.zarr", "--fold", "9"), "--fold 9: no clips in this store"),
        (("signal.zarr", "--out", "file"), "is a file"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(
    run_baseline: RunBaseline, words: tuple[str, ...], text: str
) -> None:
    Path("file").write_text("text")
    completed = run_baseline(*words)
    assert completed.exit_code == 1
    assert completed.stderr.startswith("mmder-train: error: ")
    assert completed.stderr.count("\n") == 1
    assert text in completed.stderr


def test_a_single_training_class_is_reported_in_one_line(
    run_baseline: RunBaseline, stores: Path
) -> None:
    failed = {i: "failed" for i in range(32) if i % 8}
    make_store(
        stores / "same.zarr", clips=32, speakers=4, modality="audio", status=failed
    )
    completed = run_baseline("same.zarr", "--out", "a")
    assert completed.exit_code == 1
    assert "fold 1: all training clips are of one class" in completed.stderr
