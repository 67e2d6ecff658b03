"""Several training processes, started by torchrun."""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmder_store.errors import SettingsError
from mmder_train.runtime.distributed import SINGLE_PROCESS, check_launcher
from train_runs import FINETUNE, Train, invoke, read_all_numbers

METHODS = ("finetune", "linear-probe")
TWO_RUNS = """
import json, os, sys
from mmder_train.cli import cli
first, second = json.loads(sys.argv[1])
cli(first, standalone_mode=False)
os.environ |= {"MASTER_PORT": sys.argv[2], "TORCHELASTIC_USE_AGENT_STORE": "False"}
sys.argv[1:] = second
cli()
"""
"""Program that trains twice. The first run uses the store of torchrun, in which its
keys remain; the second needs one of its own, on another port."""


def free_port() -> int:
    """Return a port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    program = ["--no-python", sys.executable, "-c", TWO_RUNS]
    both = json.dumps([words(method, "two") for method in METHODS])
    done = subprocess.run(
        [*torchrun, *program, both, str(free_port())],
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
    assert done.stdout.count("all numbers:") == len(METHODS)  # one process prints
    return out


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_have_the_results_of_one(folder: Path, method: str) -> None:
    """With 23 clips some batches are odd, and one process has no clip of the last."""
    one, two = (read_all_numbers(folder / f"{method}-{n}") for n in ("one", "two"))
    assert two["config"]["world_size"] == 2
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


SRUN = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.mark.parametrize("variables", [SRUN, {**SRUN, "SLURM_STEP_NUM_NODES": "2"}])
def test_copies_that_srun_started_are_refused(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """They would all write to one folder; the message has the line to use."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = train_audio(*FINETUNE)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    nodes = variables.get("SLURM_STEP_NUM_NODES", "1")
    expected = f"torchrun --nnodes={nodes} --nproc-per-node={2 // int(nodes)} "
    assert f"srun --ntasks-per-node=1 {expected}" in done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"},
        {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        {**SRUN, "WORLD_SIZE": "2"},
    ],
    ids=["no slurm", "batch", "batch of 8 tasks", "srun -n1", "torchrun"],
)
def test_a_single_copy_and_torchrun_are_accepted(variables: dict[str, str]) -> None:
    check_launcher(variables)


def test_an_error_of_the_primary_process_is_raised() -> None:
    def fail() -> int:
        message = "damaged"
        raise SettingsError(message)

    assert SINGLE_PROCESS.broadcast(lambda: 3) == 3
    with pytest.raises(SettingsError, match="damaged"):
        SINGLE_PROCESS.broadcast(fail)
