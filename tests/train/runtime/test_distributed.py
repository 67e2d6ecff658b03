"""Several training processes, started by torchrun."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from train_runs import FINETUNE, Train, invoke, read_all_numbers

METHODS = ("finetune", "linear-probe")
PROGRAM = "from mmder_train.cli import main; main()"


@pytest.fixture(scope="module")
def folder(audio_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with each method in this process, and in two processes of torchrun."""
    out = tmp_path_factory.mktemp("distributed")

    def words(method: str, name: str) -> list[str]:
        options = [*FINETUNE, "--batch-size", "3", "--epochs", "2", "--method", method]
        if method == "linear-probe":  # a cache of its own, so that both runs encode
            options += ["--feature-cache", str(out / f"{name}.features")]
        paths = ["--store", str(audio_store), "--out", str(out / f"{method}-{name}")]
        return [*options, *paths, "--device", "cpu"]

    for method in METHODS:
        result = invoke(*words(method, "one"))
        assert result.exit_code == 0, result.output
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    for method in METHODS:
        program = ["--no-python", sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            [*torchrun, *program, *words(method, "two")],
            env=os.environ
            | {
                "PYTHONPATH": ":".join(p for p in sys.path if p),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_have_the_results_of_one(folder: Path, method: str) -> None:
    """With 23 clips some batches are odd, and one process has no clip of the last."""
    one, two = (read_all_numbers(folder / f"{method}-{n}") for n in ("one", "two"))
    assert two["config"] == one["config"]
    a, b = one["every"][0], two["every"][0]
    assert a["clip_id"] == b["clip_id"]
    np.testing.assert_allclose(b["probability"], a["probability"], atol=1e-4)
    for x, y in zip(a["history"], b["history"], strict=True):
        assert y["loss"] == pytest.approx(x["loss"], rel=1e-4)
    with (folder / f"{method}-two/predictions-audio.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(a["clip_id"])


def test_invalid_variables_of_torchrun_are_an_error(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    monkeypatch.setenv("RANK", "0")
    done = train_audio(*FINETUNE)
    assert done.exit_code == 1
    assert "torchrun: the process group cannot be joined" in done.stderr
