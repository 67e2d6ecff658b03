"""The baseline: what it looks at, and that it looks at it honestly."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from fake_store import make_store
from mmder_store import PrepSettings
from mmder_train.baselines import audio_baseline
from mmder_train.baselines import audio_statistics as sound
from mmder_train.cli import baseline
from mmder_train.cli.main import cli

SETTINGS = PrepSettings(modality="audio")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    make_store(
        folder / "sound.zarr", clips=48, speakers=6, modality="audio", planted="sound"
    )
    make_store(folder / "noise.zarr", clips=48, speakers=6, modality="audio")
    make_store(folder / "alone.zarr", clips=8, speakers=1, modality="audio")
    make_store(
        folder / "holes.zarr",
        clips=32,
        speakers=4,
        status={0: "no_audio", 1: "no_face"},
        planted="sound",
    )
    return folder


@pytest.fixture
def run(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(store: str, *more: str) -> Result:
        return CliRunner().invoke(cli, ["baseline", str(stores / store), *more])

    return call


@given(st.integers(2, 20), st.integers(1, 12))
def test_every_instant_counts_once_and_no_edge_does(windows: int, step: int) -> None:
    columns = 4 * step + 1
    start = 2 * step * np.arange(windows)[:, None]
    instant = (start + np.arange(columns))[:, None, :].astype(np.float32)
    tainted = instant.copy()
    tainted[:, :, [0, -1]] = -1
    laid = sound.track(tainted)[0]
    assert laid.tolist() == np.arange(laid[0], laid[-1] + 1).tolist()
    assert laid[0] == step
    assert laid[-1] == instant[-1, 0, -2]


def test_one_column_a_window_is_taken_as_it_is() -> None:
    windows = np.arange(4, dtype=np.float32).reshape(4, 1, 1)
    assert sound.track(windows).tolist() == [[0, 1, 2, 3]]


def test_a_tone_is_in_its_band_whatever_the_transform() -> None:
    starts = sound.mel_starts(SETTINGS)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    time_s = np.arange(8000) / SETTINGS.sample_rate_hz
    hz, _, power = signal.spectrogram(
        np.sin(2 * np.pi * 1000 * time_s), fs=SETTINGS.sample_rate_hz, nperseg=512
    )
    level = sound.bands(10 * np.log10(power + 1e-10), SETTINGS).mean(axis=1)
    first, after = hz[starts], np.append(hz[starts[1:]], hz[-1] + 1)
    (loudest,) = np.flatnonzero((first <= 1000) & (after > 1000))
    assert level.argmax() == loudest


def test_silence_is_left_out_and_neighbours_across_it_are_none() -> None:
    values = np.array([[1.0, 2.0, 50.0, 4.0, 6.0]])
    counts = np.array([True, True, False, True, True])
    mean, std, *percentiles, change, spread = sound.over_time(values, counts)
    assert (mean, std) == (pytest.approx(3.25), pytest.approx(np.std([1, 2, 4, 6])))
    assert percentiles == pytest.approx(np.percentile([1, 2, 4, 6], sound.PERCENTILES))
    assert (change, spread) == (pytest.approx(1.5), pytest.approx(0.5))
    level = np.full((257, 4), -100.0)
    level[:, 1] = -20
    level[:, 2] = -79
    assert sound.audible_windows(level).tolist() == [False, True, True, False]
    assert sound.audible_windows(level[:, :1]).all()


def test_a_test_side_that_changes_leaves_the_fit_alone() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(40, 6))
    label = np.arange(40) % 3
    train = np.arange(30)
    for row in audio_baseline.CLASSIFIERS.values():
        before = audio_baseline.shares(row, sample, label, train, classes=3)
        other, wrong = sample.copy(), label.copy()
        other[30:] = 1e6 * rng.normal(size=(10, 6))
        wrong[30:] = 0
        after = audio_baseline.shares(row, other, wrong, train, classes=3)
        assert (before[:30] == after[:30]).all()
        assert (before != after)[30:].any()


@pytest.mark.parametrize("model", baseline.MODELS)
@pytest.mark.parametrize("shown", [(1, 3), (0, 2, 3)])
def test_classes_nobody_shows_get_nothing(model: str, shown: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    label = np.resize(shown, 60)
    sample = np.eye(4)[label] * 5 + rng.normal(size=(60, 4))
    row = audio_baseline.CLASSIFIERS[model]
    share = audio_baseline.shares(row, sample, label, np.arange(40), classes=4)
    assert share.sum(axis=1) == pytest.approx(1)
    assert not share[:, [c for c in range(4) if c not in shown]].any()
    assert (share.argmax(axis=1) == label).mean() > 0.9


@pytest.mark.parametrize("model", baseline.MODELS)
def test_it_finds_what_was_planted_and_twice_the_same(run: Run, model: str) -> None:
    done = run("sound.zarr", "--model", model, "--out", "a")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(Path("a/results.json").read_text())
    name = f"baseline-{model}"
    pooled = found["strategies"][name]["pooled"]
    assert pooled["uar"] > 0.6
    rows = list(
        csv.DictReader(Path(f"a/predictions-{name}.csv").read_text().splitlines())
    )
    assert len(rows) == 48
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    assert pooled["war"] == pytest.approx(accuracy_score(true, predicted))
    assert pooled["uar"] == pytest.approx(balanced_accuracy_score(true, predicted))
    for fold in found["strategies"][name]["folds"]:
        tested = {r["speaker"] for r in rows if int(r["fold"]) == fold["fold"]}
        assert tested == set(fold["speakers"])
        assert fold["train_clips"] + fold["clips"] == 48

    again = run("sound.zarr", "--model", model, "--out", "b")
    assert again.stdout == done.stdout.replace("a/", "b/")
    for file in ("results.json", f"predictions-{name}.csv"):
        assert Path("a", file).read_bytes() == Path("b", file).read_bytes()


def test_noise_teaches_nothing(run: Run) -> None:
    done = run("noise.zarr", "--out", "a")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("a/results.json").read_text())
    assert found["strategies"]["baseline-logistic"]["pooled"]["uar"] < 0.35


def test_clips_and_folds_are_those_of_the_trainer(run: Run, stores: Path) -> None:
    assert run("holes.zarr", "--labels", "ravdess-8", "--out", "a").exit_code == 0
    words = ["--store", str(stores / "holes.zarr"), "--strategy", "audio"]
    words += ["--labels", "ravdess-8", "--epochs", "1", "--out", "b"]
    done = CliRunner().invoke(cli, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    kept = ("clip_id", "speaker", "fold", "true")
    rows = [
        [
            [r[k] for k in kept]
            for r in csv.DictReader(Path(name).read_text().splitlines())
        ]
        for name in ("a/predictions-baseline-logistic.csv", "b/predictions-audio.csv")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 31


def test_a_finished_one_is_printed_and_not_done_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("sound.zarr", "--fold", "1")
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("sound-baseline-logistic-")
    monkeypatch.delattr(audio_baseline, "read")
    again = run("sound.zarr", "--fold", "1")
    assert (again.exit_code, again.stdout) == (0, first.stdout)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.zarr",), "no such folder; make one with mmder-prep"),
        (("alone.zarr",), "all clips are of speaker '01'"),
        (("sound.zarr", "--labels", "five"), "this store has ravdess-7, ravdess-8"),
        (("sound.zarr", "--protocol", "x"), "this store has ravdess-contiguous-6"),
        (("sound.zarr", "--fold", "9"), "--fold 9: no clips in this store"),
        (("sound.zarr", "--out", "file"), "is a file"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    run: Run, words: tuple[str, ...], text: str
) -> None:
    Path("file").write_text("mine")
    done = run(*words)
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-train: error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr


def test_one_class_to_train_on_is_one_line(run: Run, stores: Path) -> None:
    odd = {i: "failed" for i in range(32) if i % 8}
    make_store(stores / "same.zarr", clips=32, speakers=4, modality="audio", status=odd)
    done = run("same.zarr", "--out", "a")
    assert done.exit_code == 1
    assert "fold 1: all clips to train on are of one class" in done.stderr


def test_models_of_the_command_are_those_of_the_table() -> None:
    assert tuple(audio_baseline.CLASSIFIERS) == baseline.MODELS
