"""`mmder-train predict`: raw media in, and the run's own probabilities out."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from crashing_jobs import Deadly
from fake_store import make_store
from mmder_prep.corpora.manifest import read_list
from mmder_prep.media.clip import Clip
from mmder_store import Store
from mmder_store.errors import ManifestError, SettingsError
from mmder_train.cli.main import cli
from mmder_train.inference.clip_list import find_clips
from mmder_train.inference.explain import file_name
from mmder_train.inference.predictor import Prediction, predict_clips
from mmder_train.inference.preprocessing import PreparedClip, prepare_clips
from mmder_train.inference.trained_run import TrainedRun, load_trained_run
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry
from mmder_train.models.videomae import PoolingConfig, Size
from mmder_train.weights import native, readers
from run_cli import run
from synth import Synth, write

EMOTIONS = ("angry", "happy", "neutral", "sad")
STRATEGIES = ("sfas", "rfas", "audio")


@dataclass(frozen=True, kw_only=True)
class World:
    """Media, the store made of them, a run on that store, and the media prepared."""

    media: Path
    store: Path
    run: Path
    clips: tuple[PreparedClip, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Eight clips of two speakers, each tested in a fold; one of them is mute."""
    folder = tmp_path_factory.mktemp("predict")
    media = folder / "media"
    kinds: tuple[dict[str, Any], ...] = (
        {"suffix": "mp4", "audio_start_s": 0.2},
        {"suffix": "mkv", "audio": "flac", "video_start_s": 0.1},
        {"suffix": "webm", "video": "libvpx", "audio": "libopus", "rate_hz": 48_000},
        {"suffix": "avi", "video": "mpeg4", "audio": "pcm_s16le"},
    )
    rows = []
    for number in range(8):
        kind = {**kinds[number % 4], **({"audio": None} if number == 5 else {})}
        spec = Synth(
            seed=5 * number, duration_s=2 + number / 5, size_px=(96, 64), **kind
        )
        path = write(media / f"clip{number}", spec)
        speaker = number // 4
        rows.append(
            [f"c{number}", path.name, EMOTIONS[number % 4], f"s{speaker}", speaker + 1]
        )
    with (media / "clips.csv").open("w", newline="") as file:
        head = ["clip_id", "path", "emotion", "speaker", "fold"]
        csv.writer(file).writerows([head, *rows])
    run(
        *("mmder_prep", "manifest", media / "clips.csv", "--out", folder / "store"),
        *("--no-face-crop", "--step", 3, "--workers", 1, "--max-failed", 1),
    )
    small = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            ENCODERS, "tiny", EncoderEntry(make=small, readout=PoolingConfig())
        )
        words = ["--store", folder / "store", "--out", folder / "run"]
        words += ["--strategy", ",".join(STRATEGIES), "--epochs", 5, "--save-weights"]
        words += ["--spectrogram", "stft", "--device", "cpu", "--image-norm", "half"]
        done = CliRunner().invoke(cli, list(map(str, words)))
        assert done.exit_code == 0, done.output
        clips = find_clips([media / "clips.csv"], root=None).clips
        settings = Store(folder / "store").spec.settings
        yield World(
            media=media,
            store=folder / "store",
            run=folder / "run",
            clips=tuple(prepare_clips(clips, settings)),
        )


def kept_of(world: World, strategy: str, fold: int | None = None) -> TrainedRun:
    return load_trained_run(
        world.run, strategy=strategy, fold=fold, store=None, device="cpu"
    )


def predict(*words: object) -> Result:
    return CliRunner().invoke(cli, ["predict", *map(str, words), "--device", "cpu"])


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_clip_is_prepared_as_in_the_store_bit_for_bit(world: World) -> None:
    store = Store(world.store)
    for row, clip in enumerate(world.clips):
        for name in ("clip_id", "status", "reason"):
            assert getattr(clip, name) == store.columns[name][row]
        for name, made in clip.arrays.items():
            assert made.tobytes() == store.read(name, row).tobytes(), (row, name)
    assert [c.status for c in world.clips].count("no_audio") == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_tested_clip_gets_the_probabilities_of_its_test(
    world: World, strategy: str
) -> None:
    """The model of its fold says of the media what it said of the store."""
    told = {r["clip_id"]: r for r in rows_of(world.run / f"predictions-{strategy}.csv")}
    assert len(told) == 7
    for fold in (1, 2):
        kept = kept_of(world, strategy, fold)
        assert kept.settings == Store(world.store).spec.settings
        for one in predict_clips(world.clips, kept):
            row = told.get(one.clip.clip_id)
            if row is None:
                assert one.probability is None
                assert one.clip.status == "no_audio"
            elif int(row["fold"]) == fold:
                wanted = [float(row[f"p_{c}"]) for c in kept.classes]
                assert one.probability == pytest.approx(wanted, abs=2e-6)
                assert one.emotion(kept.classes) == row["predicted"]
            else:
                assert one.clip.clip_id in kept.trained[fold]


def test_all_folds_together_are_the_mean_of_each(world: World) -> None:
    """A frozen encoder is passed once for all of them."""
    shares = []
    for fold in (None, 1, 2):
        kept = kept_of(world, "audio", fold)
        assert len(kept.ensembles) == 1
        made = list(predict_clips(world.clips, kept))
        shares.append(np.array([p.probability for p in made if p.probability]))
    assert shares[0] == pytest.approx((shares[1] + shares[2]) / 2, abs=1e-12)
    assert shares[0].sum(1) == pytest.approx(1)


def test_tuned_encoders_are_not_taken_for_one(world: World, tmp_path: Path) -> None:
    words = ["--store", world.store, "--out", tmp_path / "run", "--method", "finetune"]
    words += ["--strategy", "audio", "--epochs", 1, "--save-weights", "--device", "cpu"]
    assert CliRunner().invoke(cli, list(map(str, words))).exit_code == 0
    kept = load_trained_run(
        tmp_path / "run", strategy=None, fold=None, store=None, device="cpu"
    )
    assert len(kept.ensembles) == 2
    told = rows_of(tmp_path / "run" / "predictions-audio.csv")
    one = next(
        iter(
            predict_clips(world.clips[:1], replace(kept, ensembles=kept.ensembles[:1]))
        )
    )
    wanted = [float(told[0][f"p_{c}"]) for c in kept.classes]
    assert one.probability == pytest.approx(wanted, abs=2e-6)


def test_a_folder_in_bulk(world: World, tmp_path: Path) -> None:
    """What cannot be predicted has its reason, all else its emotion; exit code 3."""
    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    shutil.copy(world.media / "clip0.mp4", new / "deep" / "c0.mp4")
    shutil.copy(world.media / "clip5.mkv", new / "mute.mkv")
    whole = (world.media / "clip1.mkv").read_bytes()
    (new / "cut.mkv").write_bytes(whole[: len(whole) // 50])
    (new / "poem.mp4").write_text("no clip at all")
    (new / "notes.txt").write_text("mine")
    done = predict(
        *(new, "--run", world.run, "--strategy", "rfas"),
        *("--out", tmp_path / "p.csv", "--explain", tmp_path / "maps"),
    )
    assert done.exit_code == 3, done.output
    rows = {r["clip"]: r for r in rows_of(tmp_path / "p.csv")}
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
    assert "1 files are no media by their suffix, the first notes.txt" in done.stderr
    assert "rfas (eq. 6), mean of the models of folds 1, 2, 4 classes" in done.stderr
    assert "the first deep/c0 (fold 2)" in done.stderr
    assert "of the effect: picture" in done.stderr
    assert "3 of 4 clips have no emotion" in done.stderr
    assert "no emotion 3" in done.stdout
    (picture,) = (tmp_path / "maps").iterdir()
    assert picture.name.startswith("deep_c0-")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_clip_alone_is_a_table(world: World) -> None:
    clip = world.media / "clip6.webm"
    done = predict(clip, "--run", world.run, "--strategy", "audio", "--fold", 1)
    assert done.exit_code == 0, done.output
    emotion = done.stdout.split(":")[1].split()[0]
    cells = [line.split("|")[1:3] for line in done.stdout.splitlines() if "|" in line]
    assert emotion == cells[1][0].strip()
    assert sum(float(c[1]) for c in cells[1:]) == pytest.approx(100, abs=0.3)


def test_a_decoder_that_dies_takes_its_clip_alone(world: World) -> None:
    clips = find_clips([world.media / "clips.csv"], root=None).clips[:3]
    deadly = Clip(clip_id="deadly", source=Deadly(Path("none")))
    settings = Store(world.store).spec.settings
    made = list(prepare_clips([clips[0], deadly, *clips[1:]], settings))
    assert [m.clip_id for m in made] == ["c0", "deadly", "c1", "c2"]
    assert [m.status for m in made] == ["ok", "failed", "ok", "ok"]
    assert made[1].reason == "its decoder ended the process"


def test_what_prepares_clips_may_be_absent(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'av'\", name='av')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    clips = find_clips([world.media / "clips.csv"], root=None).clips
    with pytest.raises(SettingsError, match="and av is not installed"):
        next(prepare_clips(clips, Store(world.store).spec.settings))


def test_stopped_in_the_middle_no_table_is_left(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(one: Prediction, classes: list[str]) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Prediction, "emotion", stop)
    words = ("--run", world.run, "--strategy", "audio", "--out", tmp_path / "p.csv")
    stopped = predict(world.media / "clip6.webm", *words)
    assert stopped.exit_code == 130
    assert "interrupted; nothing is half-written" in stopped.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_of_clips(tmp_path: Path) -> None:
    """After the file, or its path in the folder; with the suffix where two differ."""
    for name in ("a/one.mp4", "a/one.wav", "b/one.mp4", ".hidden.mp4", "b/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_clips([tmp_path], root=None)
    assert [c.clip_id for c in found.clips] == ["a/one.mp4", "a/one.wav", "b/one"]
    assert found.warnings[0].endswith("the first b/x.txt")
    (tmp_path / "list.csv").write_text("path,start_s\na/one.mp4,0.5\nb/one.mp4,\n")
    clips = find_clips([tmp_path / "list.csv"], root=None).clips
    assert [c.clip_id for c in clips] == ["a/one", "b/one"]
    assert [c.segment.start_s for c in clips] == [0.5, None]
    (clip,) = find_clips([tmp_path / "b" / "one.mp4"], root=None).clips
    assert (clip.clip_id, clip.source.path.name) == ("one", "one.mp4")
    with pytest.raises(SettingsError, match="'one': named 2 times"):
        find_clips([tmp_path / "a" / "one.mp4", tmp_path / "b" / "one.mp4"], root=None)


def test_a_list_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\n../secret.mp4\n")
    with pytest.raises(ManifestError, match="leads out of"):
        read_list(tmp_path / "list.csv", root=None).clips()


@given(ids=st.lists(st.text(min_size=1) | st.just("../../up"), unique=True))
def test_a_picture_stays_in_its_folder_under_a_name_of_its_own(ids: list[str]) -> None:
    names = [file_name(clip_id) for clip_id in ids]
    assert len(set(names)) == len(names)
    assert all(Path("maps", n).resolve().parent.name == "maps" for n in names)
    assert all(n and not n.startswith(".") and len(n) < 120 for n in names)


def rewritten(
    world: World, folder: Path, change: Callable[[dict[str, Any]], None]
) -> Path:
    """Copy the run, and change what the weights of one fold say of themselves."""
    shutil.copytree(world.run, folder)
    for file in (folder / "weights").glob("audio-*"):
        held = readers.read_checkpoint(file)
        about = {k: v for k, v in held.metadata.items() if k != "format"}
        change(about)
        native.save_weights(file, held.tensors, about)
    return folder


def test_a_run_that_does_not_tell_its_preparation_wants_its_store(
    world: World, tmp_path: Path
) -> None:
    old = rewritten(world, tmp_path / "old", lambda about: about.pop("preparation"))
    with pytest.raises(SettingsError, match="an older mmder made it"):
        load_trained_run(old, strategy="audio", fold=None, store=None, device="cpu")
    kept = load_trained_run(
        old, strategy="audio", fold=1, store=world.store, device="cpu"
    )
    assert kept.settings == kept_of(world, "audio", 1).settings
    other = make_store(tmp_path / "other.zarr", clips=8, modality="audio")
    words = (world.media, "--run", old, "--strategy", "audio")
    done = predict(*words, "--store", other.path)
    assert "was trained on another one" in done.stderr


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda w: shutil.rmtree(w), "kept no weights. Say the command that made it"),
        (lambda w: (w / "audio-2.safetensors").unlink(), "kept no weights of fold 2"),
        (lambda w: cut(w / "audio-1.safetensors"), "damaged or truncated"),
        (
            lambda w: shutil.copy(w / "audio-1.safetensors", w / "audio-2.safetensors"),
            "of another run, its fold differs",
        ),
        (
            lambda w: torch.save({}, w / "audio-1.safetensors"),
            "audio-1.safetensors",
        ),
        (lambda w: (w.parent / "results.json").unlink(), "not finished (6 folds are)"),
        (
            lambda w: (w.parent / "results.json").write_text('{"format": 1}'),
            "not as this mmder-train writes it",
        ),
    ],
)
def test_a_run_that_cannot_serve_is_one_line(
    world: World, tmp_path: Path, change: Callable[[Path], object], text: str
) -> None:
    shutil.copytree(world.run, tmp_path / "run")
    change(tmp_path / "run" / "weights")
    done = predict(world.media, "--run", tmp_path / "run", "--strategy", "audio")
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-train: error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.mp4",), "none.mp4: no such file or folder; expected clips"),
        (("empty",), "folder empty: no media file in it, nothing"),
        (("empty.csv",), "missing 'path'. Expected path and, where wanted, clip_id"),
        (("x.mp4", "--run", "empty"), "run empty: no run in it"),
        (("x.mp4", "--run", "nowhere"), "run nowhere: no such folder"),
        (("x.mp4", "--run", "x.mp4"), "run x.mp4: is a file"),
        (("x.mp4",), "has audio, rfas, sfas. Say which with --strategy"),
        (("x.mp4", "--strategy", "cfas"), "--strategy cfas: run run has audio"),
        (("x.mp4", "--strategy", "audio", "--fold", "9"), "--fold 9: run run has 1, 2"),
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
def test_what_cannot_be_asked_is_one_line(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(world.run)
    Path("empty").mkdir()
    Path("empty.csv").write_text("clip_id,emotion\na,sad\n")
    Path("x.mp4").write_text("mine")
    before = sorted(p.name for p in tmp_path.iterdir())
    run_of = () if "--run" in words else ("--run", "run")
    done = predict(*words, *run_of)
    assert done.exit_code == 1, done.output
    errors = [n for n in done.stderr.splitlines() if n.startswith("mmder-train: error")]
    assert len(errors) == 1
    assert text in errors[0]
    assert Path("x.mp4").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_weights_tell_how_clips_were_prepared_and_which_were_learned(
    world: World,
) -> None:
    about = readers.read_checkpoint(
        world.run / "weights" / "sfas-1.safetensors"
    ).metadata
    assert about["preparation"]["settings"]["step_frames"] == 3
    assert about["trained_clips"] == ["c4", "c6", "c7"]
    assert "/" not in json.dumps(about)
