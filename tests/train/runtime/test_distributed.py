"""Several training processes, started by torchrun."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from train_runs import FINETUNE, Train, read_all_numbers


@pytest.mark.parametrize("method", ["finetune", "linear-probe"])
def test_two_processes_have_the_results_of_one(
    audio_store: Path, tmp_path: Path, method: str
) -> None:
    """With 23 clips some batches are odd, and one process has no clip of the last."""
    words = [*FINETUNE, "--store", str(audio_store), "--batch-size", "3"]
    words += ["--epochs", "2", "--method", method]
    program = [sys.executable, "-c", "from mmder_train.cli import main; main()"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--no-python"]
    environment = os.environ | {
        "PYTHONPATH": ":".join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    for name, launch in (("one", []), ("two", torchrun)):
        out = ["--out", str(tmp_path / name), "--device", "cpu"]
        if method == "linear-probe":  # a cache of its own, so that both runs encode
            out += ["--feature-cache", str(tmp_path / f"{name}.features")]
        done = subprocess.run(
            [*launch, *program, *words, *out],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
    one, two = (read_all_numbers(tmp_path / name) for name in ("one", "two"))
    assert two["config"]["world_size"] == 2
    a, b = one["every"][0], two["every"][0]
    assert a["clip_id"] == b["clip_id"]
    np.testing.assert_allclose(b["probability"], a["probability"], atol=1e-4)
    for x, y in zip(a["history"], b["history"], strict=True):
        assert y["loss"] == pytest.approx(x["loss"], rel=1e-4)
    with (tmp_path / "two/predictions-audio.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(a["clip_id"])


def test_invalid_variables_of_torchrun_are_an_error(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    monkeypatch.setenv("RANK", "0")
    done = train_audio(*FINETUNE)
    assert done.exit_code == 1
    assert "torchrun: the process group cannot be joined" in done.stderr
