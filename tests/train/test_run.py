"""`mmder-train` from a store to a table, in this process."""

import csv
import errno
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from fake_store import make_store
from mmder_store.atomic_files import write_json
from mmder_train.cli.main import cli
from mmder_train.evaluation import run_directory
from mmder_train.experiment import finetune
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry, build_encoder
from mmder_train.models.videomae import PoolingConfig, Size

Train = Callable[..., Result]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make few speakers, so that folds 1, 6 and, with sound alone, 3 have clips."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "av.zarr", clips=16, speakers=2, planted="picture sound")
    make_store(
        folder / "sound.zarr", clips=24, speakers=3, modality="audio", planted="sound"
    )
    make_store(folder / "alone.zarr", clips=8, speakers=1, modality="audio")
    return folder


@pytest.fixture
def train(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Give `mmder-train` with an encoder that takes milliseconds."""
    small = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1))
    kind = EncoderEntry(make=small, readout=PoolingConfig())
    monkeypatch.setitem(ENCODERS, "tiny", kind)
    monkeypatch.chdir(tmp_path)

    def call(store: str, *more: str) -> Result:
        words = ["--store", str(stores / store), "--device", "cpu", *more]
        return CliRunner().invoke(cli, words)

    return call


def results(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return found


def test_heads_find_what_was_planted_and_twice_the_same(train: Train) -> None:
    done = train("av.zarr", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "fold 2 of ravdess-contiguous-6: no clips in this store" in done.stderr
    assert "confusion matrix: a/confusion-cfas.png" in done.stdout
    found = results("a")
    cfas = found["strategies"]["cfas"]
    assert [f["fold"] for f in cfas["folds"]] == [1, 6]
    assert cfas["mean"]["uar"] > 0.6
    assert cfas["chance"] == {"war": 0.25, "uar": pytest.approx(1 / 7)}
    assert found["config"]["labels"] == "ravdess-7"
    assert found["config"]["protocol"] == "ravdess-contiguous-6"
    assert "/" not in json.dumps(found)
    assert Path("a/confusion-cfas.png").read_bytes().startswith(b"\x89PNG")
    text = Path("a/predictions-cfas.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len({r["clip_id"] for r in rows}) == len(rows) == 16
    true, predicted = ([r[k] for r in rows] for k in ("true", "predicted"))
    pooled = cfas["pooled"]
    assert pooled["war"] == pytest.approx(accuracy_score(true, predicted))
    assert pooled["uar"] == pytest.approx(balanced_accuracy_score(true, predicted))

    again = train("av.zarr", "--out", "b")
    assert again.stdout == done.stdout.replace("a/", "b/")
    for name in ("results.json", "predictions-cfas.csv", "folds/cfas-6.json"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_noise_teaches_nothing(train: Train, stores: Path) -> None:
    make_store(stores / "noise.zarr", clips=32, speakers=4, modality="audio")
    done = train("noise.zarr", "--strategy", "audio", "--out", "a")
    assert done.exit_code == 0, done.output
    assert results("a")["strategies"]["audio"]["pooled"]["uar"] < 0.4


def test_a_finished_run_is_printed_and_not_done_again(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--epochs", "2")
    first = train(*words)
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("sound-")
    monkeypatch.delitem(finetune.TUNING_METHODS, "linear-probe")
    again = train(*words)
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert again.stderr == ""


def test_a_stopped_run_goes_on_to_the_same_numbers(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--epochs", "3")
    train(*words, "--out", "whole")
    finish = run_directory.RunDirectory.finish_fold

    def stop(
        self: run_directory.RunDirectory, record: run_directory.FoldResult
    ) -> None:
        if record.fold == 3:
            raise KeyboardInterrupt
        finish(self, record)

    with monkeypatch.context() as patched:
        patched.setattr(run_directory.RunDirectory, "finish_fold", stop)
        stopped = train(*words, "--out", "parts")
    assert stopped.exit_code == 130
    assert "interrupted; finished folds are kept" in stopped.stderr
    kept = Path("parts/folds/audio-1.json")
    before = kept.stat().st_mtime_ns
    assert sorted(f.name for f in Path("parts").rglob("*.*")) == [
        "audio-1.json",
        "log.txt",
        "run.json",
    ]
    done = train(*words, "--out", "parts")
    assert done.exit_code == 0
    assert kept.stat().st_mtime_ns == before
    assert results("parts") == results("whole")


def test_tuning_everything_twice_gives_the_same_weights(train: Train) -> None:
    words = ["sound.zarr", "--strategy", "audio", "--method", "finetune", "--fold", "3"]
    words += ["--epochs", "2", "--save-weights"]
    for out in ("a", "b"):
        done = train(*words, "--out", out)
        assert done.exit_code == 0, done.output
    name = "weights/audio-3.safetensors"
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert results("a") == results("b")
    assert [f["fold"] for f in results("a")["strategies"]["audio"]["folds"]] == [3]

    on = ("sound.zarr", "--strategy", "audio", "--weights", f"a/{name}", "--out", "c")
    done = train(*on)
    assert done.exit_code == 0, done.output
    assert "were tuned on this very store" in done.stderr
    assert results("c")["config"]["weights"] == "audio-3.safetensors"
    assert len(results("c")["config"]["weights_sha256"]) == 64
    assert results("c")["config"]["weights_format"] == "mmder"

    Path("a", name).unlink()
    assert train(*words, "--out", "a").exit_code == 0
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_weights_say_how_they_are_read_out(train: Train) -> None:
    """And the user's word is above theirs; all of it is in the results."""
    words = ["sound.zarr", "--strategy", "audio", "--fold", "3", "--epochs", "1"]
    said = ["--norm-eps", "1e-4", "--no-pos-embed", "--image-norm", "release"]
    done = train(*words, *said, "--method", "finetune", "--save-weights", "--out", "a")
    assert done.exit_code == 0, done.output
    on = (*words, "--weights", "a/weights/audio-3.safetensors")
    for more, statistics in ((), "release"), (("--image-norm", "none"), "none"):
        done = train(*on, *more, "--out", statistics)
        assert done.exit_code == 0, done.output
        config = results(statistics)["config"]
        assert config["encoder"] == "tiny"
        assert config["norm_eps"] == 1e-4
        assert config["pool"] == "mean"
        assert config["pos_embed"] is False
        assert config["image_norm"] == statistics
    losses = {
        results(r)["strategies"]["audio"]["folds"][0]["train_loss"]
        for r in ("release", "none")
    }
    assert len(losses) == 2


def test_the_encoder_comes_from_the_weights(train: Train) -> None:
    """Here from a pre-training file of the official program."""
    torch.manual_seed(1)
    held = {f"encoder.{k}": v for k, v in build_encoder("small").state_dict().items()}
    torch.save({"model": {**held, "mask_token": torch.zeros(1, 1, 8)}}, "w.pth")
    done = train("av.zarr", "--weights", "w.pth", "--encoder", "base")
    assert "Say --encoder small." in done.stderr
    tiny = {f"encoder.{k}": v for k, v in build_encoder("tiny").state_dict().items()}
    torch.save({"model": {**tiny, "mask_token": torch.zeros(1, 1, 8)}}, "w.pth")
    words = ("sound.zarr", "--strategy", "audio", "--fold", "3", "--epochs", "1")
    done = train(*words, "--weights", "w.pth", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "random weights" not in done.stderr
    config = results("a")["config"]
    assert (config["encoder"], config["weights"]) == ("tiny", "w.pth")
    assert config["weights_format"] == "VideoMAE"


def test_without_weights_the_encoder_is_read_out_as_its_authors_do(
    train: Train,
) -> None:
    train("sound.zarr", "--strategy", "audio", "--epochs", "1", "--out", "a")
    config = results("a")["config"]
    assert config["encoder"] == "tiny"
    assert (config["norm_eps"], config["pool"], config["pos_embed"]) == (
        1e-6,
        "mean",
        True,
    )
    assert config["image_norm"] == "imagenet"


def test_every_strategy_in_one_command(train: Train) -> None:
    words = ("--strategy", "all", "--epochs", "1", "--fold", "1", "--out", "a")
    done = train("av.zarr", *words)
    assert done.exit_code == 0, done.output
    assert list(results("a")["strategies"]) == sorted(STRATEGIES)
    assert done.stdout.count("confusion matrix:") == len(STRATEGIES)


def test_rfas_drawn_anew_each_epoch_differs(train: Train) -> None:
    words = ["av.zarr", "--strategy", "rfas", "--method", "finetune"]
    words += ["--fold", "1", "--epochs", "2"]
    train(*words, "--out", "a")
    train(*words, "--rfas-resample", "--out", "b")
    a, b = (results(r)["strategies"]["rfas"]["folds"][0]["train_loss"] for r in "ab")
    assert a != b


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("none.zarr",), "no such folder; make one with mmder-prep"),
        (("alone.zarr", "--strategy", "audio"), "all clips are of speaker '01'"),
        (("sound.zarr",), "store sound.zarr has sound alone. Say --strategy audio."),
        (("av.zarr", "--labels", "five"), "this store has ravdess-7, ravdess-8"),
        (("av.zarr", "--protocol", "x"), "this store has ravdess-contiguous-6"),
        (("av.zarr", "--fold", "2"), "--fold 2: no clips in this store"),
        (("av.zarr", "--weights", "w.bin"), "weights w.bin: no such file"),
        (("av.zarr", "--pool", "region"), "--pool region: the encoder tiny has no"),
        (("av.zarr", "--norm-eps", "1"), "--norm-eps 1: expected above 0"),
        (
            ("av.zarr", "--allow-missing", "blocks"),
            "all parts are new without --weights",
        ),
        (
            ("av.zarr", "--checkpoint-activations"),
            "Say --method finetune, or leave it out",
        ),
        (("av.zarr", "--lr", "0"), "--lr 0: expected above 0"),
        (("av.zarr", "--strategy", "rfas", "--rfas-resample"), "Say --method finetune"),
        (("av.zarr", "--out", "full"), "not empty, and no run in it"),
        (("av.zarr", "--out", "file"), "is a file"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    train: Train, words: tuple[str, ...], text: str
) -> None:
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    done = train(*words)
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-train: error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert done.stdout == ""
    assert Path("full/thesis.txt").read_text() == "mine"


def test_another_run_in_the_folder_is_refused(train: Train) -> None:
    words = ("sound.zarr", "--strategy", "audio", "--fold", "1", "--out", "a")
    train(*words, "--epochs", "2")
    done = train(*words, "--epochs", "3")
    assert done.exit_code == 1
    assert "run folder a: holds another run (config epochs 2 -> 3)" in done.stderr


def test_a_full_disk_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(run_directory, "write_json", full)
    words = ("sound.zarr", "--strategy", "audio", "--out", "a")
    done = train(*words)
    assert done.exit_code == 1
    assert done.stderr == "mmder-train: error: a/run.json: No space left on device\n"
    monkeypatch.setattr(run_directory, "write_json", write_json)
    with_traceback = train("none.zarr", "-v")
    assert type(with_traceback.exception).__name__ == "StoreError"


def test_no_gpu(train: Train) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = train("av.zarr", "--device", "cuda")
    assert "torch sees no GPU here" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Missing option '--store'"),
        (["--strategy", "cfas,none"], "'none' is none of cfas, sfas"),
        (["--fold", "0"], "expected a number from 1, or all"),
        (["--encoder", "titan"], "'titan' is not one of 'tiny'"),
        (["--store", "x", "guess"], "No such command 'guess'"),
    ],
)
def test_usage_errors_are_clicks(words: list[str], text: str) -> None:
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert text in done.stderr


def test_help_and_version_import_nothing_slow() -> None:
    code = (
        "import sys; from click.testing import CliRunner; import mmder_train.cli as c;"
        "call = lambda word: CliRunner().invoke(c.cli, [word]).exit_code;"
        "r = [call('--help'), call('--version')];"
        "print(r, {'torch', 'zarr', 'numpy', 'timm'} & set(sys.modules))"
    )
    path = ":".join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": path},
    )
    assert done.stdout.split() == ["[0,", "0]", "set()"]
