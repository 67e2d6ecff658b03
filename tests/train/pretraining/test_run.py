"""Pre-training: losses fall, runs resume bit for bit, and the weights are usable."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from PIL import Image

from mmder_store import Store
from mmder_train.data.clip_hashes import clip_hashes
from mmder_train.weights import load_weights
from train_runs import invoke, read_metrics, run_before_step

Pretrain = Callable[..., Result]
SHORT = ("--strategy", "audio", "--epochs", "3", "--batch-size", "4")
FILES = ("encoder.safetensors", "reconstruction.png")


def read_seen(folder: str) -> dict[str, Any]:
    metadata = load_weights(f"{folder}/encoder.safetensors").metadata
    seen: dict[str, Any] = metadata["pretraining"]["seen"]
    return seen


def test_a_stopped_run_resumes_bit_for_bit(
    pretrain: Pretrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (
        *("--strategy", "ofos", "--epochs", "3", "--batch-size", "4"),
        *("--hide-modality", "0.5", "--grad-accum-steps", "2", "--augment", "video"),
    )
    assert pretrain("av.zarr", *options, "--out", "whole").exit_code == 0
    with monkeypatch.context() as patched:
        run_before_step(patched, 3, lambda: signal.raise_signal(signal.SIGTERM))
        stopped = pretrain("av.zarr", *options, "--out", "parts")
    assert stopped.exit_code == 128 + signal.SIGTERM
    assert "stopped after step 4 of this pre-training, which is saved" in stopped.stderr
    assert not Path("parts/encoder.safetensors").exists()
    done = pretrain("av.zarr", *options, "--out", "parts")
    assert "resuming after epoch 1, step 4" in done.stderr
    for name in FILES:
        assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()
    assert read_metrics("parts") == read_metrics("whole")
    assert [row["epoch"] for row in read_metrics("parts")] == [1, 2, 3]
    assert not Path("parts/checkpoints").exists()
    with Image.open("parts/reconstruction.png") as image:
        assert image.width > 1000
    # A finished run is only printed, and files that a kill left are deleted.
    Path("parts/checkpoints").mkdir()
    Path("parts/checkpoints/pretraining.json").touch()
    again = pretrain("av.zarr", *options, "--out", "parts")
    assert not Path("parts/checkpoints").exists()
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    assert "clips to train on" not in again.stderr
    compared = invoke("compare", "parts")
    assert "run parts: a pre-training, which has no test results" in compared.stderr
    other = pretrain("av.zarr", *options, "--out", "parts", "--seed", "1")
    assert other.exit_code == 1
    assert "holds another run (config seed 0 -> 1)" in other.stderr


def test_held_out_speakers_are_measured_and_probed(
    stores: Path, pretrain: Pretrain
) -> None:
    """The emotion is planted clearly, so that even a random encoder shows it."""
    done = pretrain(
        *("sound.zarr", *SHORT, "--out", "a", "--probe-every", "2"),
        *("--probe-store", str(stores / "sound.zarr"), "--exclude-speakers", "01"),
    )
    assert done.exit_code == 0, done.output
    assert "16 clips to train on, 2 speakers" in done.stderr
    held_out = done.stderr.split("8 clips of handmade ")[1].split()[0]
    seen = read_seen("a")
    assert seen["clips"] == 16
    speakers = {"09", "16", "24"} - {held_out}
    assert set(seen["speakers"]["handmade"]) == speakers
    store = Store(stores / "sound.zarr")
    speaker_of = store.columns["speaker"]
    for row, hashes in enumerate(clip_hashes(store, range(len(store)))):
        assert hashes
        for text in hashes:
            assert (text in seen["hashes"]) == (speaker_of[row] in speakers)

    rows = read_metrics("a")
    losses = {"epoch", "loss", "loss_audio", "val_loss", "val_loss_audio"}
    assert rows[0].keys() == losses
    assert rows[1].keys() == rows[2].keys() == losses | {"probe_war", "probe_uar"}
    # Seven classes: chance is 1/7.
    assert rows[-1]["probe_uar"] > 0.5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--exclude-speakers", "99"), "--exclude-speakers 99: no such speaker; there"),
        (("--exclude-fold", "9"), "--exclude-fold 9: the protocol has folds 1 to 6"),
        (("--exclude-fold", "1", "--protocol", "x"), "--protocol x: no store has it"),
        (("--protocol", "x"), "--protocol: only with --exclude-fold"),
        (("--encoder", "mae-dfer"), "equally many visible tokens in each region"),
        (("--mask-audio", "1"), "--mask-audio 1: expected"),
        (("--strategy", "cfas"), "has only audio. Use --strategy audio"),
        (("--strategy", "ofos", "--target", "motion"), "ofos alternates them"),
        (("--exclude-speakers", "01,09,16,24"), "32 of excluded speakers"),
    ],
)
def test_wrong_settings_are_one_line(
    pretrain: Pretrain, words: tuple[str, ...], text: str
) -> None:
    done = pretrain("sound.zarr", *SHORT, "--out", "a", *words)
    assert done.exit_code == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("a").exists()


def test_every_strategy_is_pre_trained(stores: Path, pretrain: Pretrain) -> None:
    """Also with the modality hidden as a whole in each step, and motion targets."""
    for name in ("cfas", "sfas", "rfas", "video"):
        words = ["--strategy", name, "--epochs", "1", "--hide-modality", "1"]
        if name in ("cfas", "video"):
            words += ["--target", "motion"]
        done = pretrain("av.zarr", *words, "--batch-size", "8", "--out", name)
        assert done.exit_code == 0, done.output
        (row,) = read_metrics(name)
        # A sum of both modalities has one loss.
        kinds = {"sfas": set(), "video": {"loss_video"}}.get(
            name, {"loss_video", "loss_audio"}
        )
        cross = ("own", "other") if name == "cfas" else ()
        assert row.keys() == {
            *("epoch", "loss", "val_loss", *kinds, *(f"val_{k}" for k in kinds)),
            *(f"val_loss_audio_from_{whose}_faces" for whose in cross),
        }
    two = invoke(
        *("pretrain", "--store", str(stores / "av.zarr"), "--device", "cpu"),
        *("--store", str(stores / "sound.zarr"), "--strategy", "audio"),
        *("--epochs", "1", "--encoder", "tiny", "--out", "both"),
    )
    assert two.exit_code == 0, two.output
    # Speakers 01 and 24 are in both stores: all their clips are held out together.
    assert read_seen("both")["clips"] in (32, 40)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(stores: Path, tmp_path: Path) -> None:
    """Of the three clips of a batch, one process has two."""
    words = ["pretrain", "--store", str(stores / "av.zarr"), "--device", "cpu"]
    words += ["--encoder", "tiny-56", "--epochs", "2", "--batch-size", "3"]
    words += ["--hide-modality", "0.5"]
    program = "from mmder_train.cli import main; main()"
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    one = invoke(*words, "--out", str(tmp_path / "one"))
    assert one.exit_code == 0, one.output
    two = subprocess.run(
        [
            *(sys.executable, *torchrun, sys.executable, "-c", program, *words),
            *("--out", str(tmp_path / "two")),
        ],
        env=os.environ | {"PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert two.returncode == 0, two.stderr
    rows = zip(
        read_metrics(str(tmp_path / "one")),
        read_metrics(str(tmp_path / "two")),
        strict=True,
    )
    for a, b in rows:
        assert b == pytest.approx(a, rel=1e-4)
    first, second = (
        load_weights(tmp_path / name / "encoder.safetensors") for name in ("one", "two")
    )
    for name, tensor in first.tensors.items():
        torch.testing.assert_close(second.tensors[name], tensor, atol=1e-4, rtol=1e-3)
