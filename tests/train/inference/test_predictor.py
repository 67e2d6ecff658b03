"""Media files go in, and the probabilities of the run's own test come out."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from mmder_store import Store
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.strategies import STRATEGIES as FUSION_STRATEGIES
from mmder_train.inference.predictor import predict_clips, predict_files
from mmder_train.runtime.device import FROZEN_DTYPE
from small_run import EMOTIONS, STRATEGIES, SmallRun, read_csv

Predict = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("forked_workers")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_test_clip_has_the_probabilities_of_its_fold(
    small_run: SmallRun, strategy: str
) -> None:
    """The model of a fold predicts the same from media files as from the store.

    The stated tolerance on a CPU is 1e-6. The table is rounded to six decimals.
    """
    table = read_csv(small_run.run_dir / f"predictions-{strategy}.csv")
    tested = {row["clip_id"]: row for row in table}
    assert len(tested) == 7
    for fold in (1, 2):
        trained_run = small_run.load(strategy, fold)
        assert trained_run.prep_settings == Store(small_run.store).spec.settings
        exact = read_probabilities(small_run, strategy, fold)
        for prediction in predict_clips(small_run.clips, trained_run):
            row = tested.get(prediction.clip_id)
            if row is None:
                assert prediction.probabilities is None
                assert prediction.emotion is None
                assert prediction.status == "no_audio"
                assert prediction.reason
            elif int(row["fold"]) == fold:
                assert prediction.probabilities is not None
                assert tuple(prediction.probabilities) == trained_run.classes
                assert [*prediction.probabilities.values()] == pytest.approx(
                    exact[prediction.clip_id], abs=1e-6
                )
                assert prediction.probabilities == pytest.approx(
                    {c: float(row[f"p_{c}"]) for c in trained_run.classes}, abs=2e-6
                )
                assert prediction.emotion == row["predicted"]
            else:
                assert prediction.clip_id in trained_run.train_clips[fold]


def read_probabilities(
    small_run: SmallRun, strategy: str, fold: int
) -> dict[str, list[float]]:
    """Read the unrounded probabilities of the clips that a fold tested."""
    file = small_run.run_dir / "folds" / f"{strategy}-{fold}.json"
    result = json.loads(file.read_text())
    return dict(zip(result["clip_id"], result["probability"], strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_encoder_in_the_format_of_a_gpu_is_within_the_stated_bound(
    small_run: SmallRun, strategy: str
) -> None:
    """A frozen encoder is in bfloat16 on a GPU, and its head in 32-bit floats."""
    trained_run = small_run.load(strategy, 1)
    for ensemble in trained_run.ensembles:
        ensemble.encoder.to(FROZEN_DTYPE["cuda"])
    exact = read_probabilities(small_run, strategy, 1)
    clips = [clip for clip in small_run.clips if clip.clip_id in exact]
    apart = [
        abs(p - q)
        for prediction in predict_clips(clips, trained_run)
        for p, q in zip(
            (prediction.probabilities or {}).values(),
            exact[prediction.clip_id],
            strict=True,
        )
    ]
    assert len(apart) == len(exact) * len(trained_run.classes)
    assert 1e-6 < max(apart) < 0.05


def test_predict_files(small_run: SmallRun) -> None:
    """The Python API needs only paths and a run, and holds no arrays by default."""
    trained_run = small_run.load("sfas")
    statuses: list[str] = []
    paths = [small_run.media / "clip5.mkv", small_run.media / "clip6.webm"]
    predictions = list(predict_files(paths, trained_run, progress=statuses.append))
    assert [p.clip_id for p in predictions] == ["clip5", "clip6"]
    assert [p.status for p in predictions] == statuses == ["no_audio", "ok"]
    assert [p.probabilities is None for p in predictions] == [True, False]
    assert not any(p.clip.arrays for p in predictions)
    (prediction,) = predict_files(str(paths[1]), trained_run, keep_arrays=True)
    assert prediction.probabilities == predictions[1].probabilities
    assert prediction.clip.arrays["frames"].shape == (16, 224, 224, 3)


def test_a_folder_is_predicted_and_failures_have_reasons(
    small_run: SmallRun, tmp_path: Path, predict: Predict
) -> None:
    """A clip that cannot be predicted does not stop the others. The exit code is 3."""
    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    shutil.copy(small_run.media / "clip0.mp4", new / "deep" / "c0.mp4")
    shutil.copy(small_run.media / "clip5.mkv", new / "mute.mkv")
    whole = (small_run.media / "clip1.mkv").read_bytes()
    (new / "cut.mkv").write_bytes(whole[: len(whole) // 50])
    (new / "poem.mp4").write_text("not a clip")
    (new / "notes.txt").write_text("text")
    completed = predict(
        *(new, "--run", small_run.run_dir, "--strategy", "rfas"),
        *("--out", tmp_path / "p.csv", "--explain", tmp_path / "maps"),
    )
    assert completed.exit_code == 3, completed.output
    rows = {r["clip"]: r for r in read_csv(tmp_path / "p.csv")}
    assert list(rows) == ["cut", "mute", "poem", "deep/c0"]
    assert [r["status"] for r in rows.values()] == [
        "failed",
        "no_audio",
        "failed",
        "ok",
    ]
    assert all(r["reason"] for r in rows.values() if not r["emotion"])
    classes = [k for k in rows["mute"] if k.startswith("p_")]
    assert classes == [f"p_{e}" for e in EMOTIONS]
    assert sum(float(rows["deep/c0"][c]) for c in classes) == pytest.approx(1, abs=4e-6)
    assert rows["deep/c0"]["emotion"] in EMOTIONS
    assert not any(rows["poem"][c] for c in classes)
    assert str(tmp_path) not in (tmp_path / "p.csv").read_text()
    stderr = completed.stderr
    assert "skipped 1 files without a media suffix, first notes.txt" in stderr
    assert "rfas (eq. 6), mean of the models of folds 1, 2, 4 classes" in stderr
    assert "first deep/c0 (fold 2)" in stderr
    effect = r"deep/c0: \w+ [\d.]+%; (effect: video \d+%, audio|no measurable effect)"
    assert re.search(effect, stderr)
    assert "3 of 4 clips could not be predicted: cut, mute, poem; the reas" in stderr
    assert "1 of 4 clips are longer than 16 frames cover" in stderr
    assert "frozen encoder with random weights" in stderr
    assert "frozen encoder with random weights" in rows["deep/c0"]["warning"]
    assert "no emotion 3" in completed.stdout
    (image,) = (tmp_path / "maps").iterdir()
    assert image.name.startswith("deep_c0-")
    assert image.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.mp4",), "none.mp4: no such file or folder; expected clips"),
        (("empty",), "folder empty: no media file in it, 0 other files"),
        (("empty.csv",), "columns missing 'path'. Found 2 columns"),
        (("x.mp4", "--run", "empty"), "run empty: no run in it"),
        (("x.mp4", "--run", "nowhere"), "run nowhere: no such folder"),
        (("x.mp4", "--run", "x.mp4"), "run x.mp4: is a file"),
        (("x.mp4",), "strategies audio, rfas, sfas. Choose one with --strategy"),
        (("x.mp4", "--strategy", "cfas"), "--strategy cfas: not in run run; expected"),
        (
            ("x.mp4", "--strategy", "audio", "--fold", "9"),
            "--fold 9: not in run run; expected one of 1, 2",
        ),
        (
            ("x.mp4", "--strategy", "audio", "--out", "empty"),
            "--out empty: is a folder",
        ),
        (("x.mp4", "--strategy", "audio", "--out", "x.mp4/p.csv"), "x.mp4: "),
        (
            ("x.mp4", "--strategy", "audio", "--explain", "x.mp4"),
            "--explain x.mp4: is a file",
        ),
    ],
)
def test_an_invalid_argument_is_reported_in_one_line(
    small_run: SmallRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    predict: Predict,
    words: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(small_run.run_dir)
    Path("empty").mkdir()
    Path("empty.csv").write_text("clip_id,emotion\na,sad\n")
    Path("x.mp4").write_text("not a clip")
    before = sorted(p.name for p in tmp_path.iterdir())
    run_words = () if "--run" in words else ("--run", "run")
    completed = predict(*words, *run_words)
    assert completed.exit_code == 1, completed.output
    lines = completed.stderr.splitlines()
    errors = [line for line in lines if line.startswith("mmder-train: error")]
    assert len(errors) == 1
    assert text in errors[0]
    assert Path("x.mp4").read_text() == "not a clip"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_clip_without_audio_is_predicted_if_that_is_allowed(
    small_run: SmallRun, tmp_path: Path, predict: Predict
) -> None:
    """The audio adds nothing to its face, so the input is that of the strategy video.

    The row names what was missing, and warns that no model was trained on such clips.
    """
    trained_run = small_run.load("sfas")
    clip = next(c for c in small_run.clips if c.clip_id == "c5")
    assert clip.missing == ("audio",)
    (prediction,) = predict_clips([clip], trained_run, allow_missing_modality=True)
    expected = trained_run.predict_probabilities(
        fuse(
            torch.from_numpy(clip.arrays["frames"][None]),
            None,
            frame_permutations(["c5"], seed=0),
            strategy=FUSION_STRATEGIES["video"],
            settings=trained_run.render_settings,
        )
    )
    assert prediction.missing == "audio"
    assert prediction.probabilities is not None
    assert [*prediction.probabilities.values()] == pytest.approx(expected[0].tolist())
    # A strategy of audio only has nothing to predict from.
    (none,) = predict_clips(
        [clip], small_run.load("audio"), allow_missing_modality=True
    )
    assert none.probabilities is None

    path = small_run.media / "clip5.mkv"
    words = [path, "--run", small_run.run_dir, "--strategy", "sfas"]
    done = predict(*words)
    assert done.exit_code == 3
    assert "--allow-missing-modality predicts 1 of them" in done.stderr
    done = predict(
        *words, "--allow-missing-modality", "--out", "p.csv", "--explain", tmp_path
    )
    assert done.exit_code == 0, done.output
    (row,) = read_csv(Path("p.csv"))
    assert (row["status"], row["missing"]) == ("no_audio", "audio")
    assert row["emotion"] == prediction.emotion
    note = "predicted without audio, and the models were trained on clips with both"
    assert note in row["warning"]
    assert note in " ".join(done.stdout.split())
    drawn = {p.name for p in tmp_path.glob("clip5.*")}
    assert drawn == {"clip5.png", "clip5.svg", "clip5.pdf"}
