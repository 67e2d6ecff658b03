"""Several training processes, started by torchrun."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fake_store import make_store
from mmder_store.errors import SettingsError
from mmder_train.runtime.distributed import (
    SINGLE_PROCESS,
    check_launcher,
    distributed_context,
    share_gradients,
)
from mmder_train.runtime.sharding import check_shardable
from train_runs import FINETUNE, Train, invoke, read_all_numbers, run_before_step

METHODS = ("finetune", "linear-probe")
FOLDS = {"finetune": "all", "linear-probe": "1"}
RESUMED_AT = 5
"""Step at which one process stops fine-tuning the first fold, for two to resume it."""
SHARDED = (
    *("--fold", "1", "--ema-decay", "0.9", "--clip-grad", "1", "--val", "speakers"),
    *("--grad-accum-steps", "2", "--checkpoint-activations", "--save-weights"),
)
"""Fine-tuning whose weights two processes divide."""
SHARDED_AT, SHARDED_STOP = 2, 4
"""Steps at which one process stops it, and at which the two stop it."""
RUNS = """
import json, os, signal, sys
import pytest
from mmder_train.cli import cli
from train_runs import run_before_step
for words, port, stop in json.loads(sys.argv[1]):
    if port:
        os.environ |= {"MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "False"}
    with pytest.MonkeyPatch.context() as patch:
        if stop:
            run_before_step(patch, stop, lambda: signal.raise_signal(signal.SIGTERM))
        try:
            cli(words)
        except SystemExit as end:
            assert end.code == (128 + signal.SIGTERM if stop else 0), end.code
"""
"""Program that trains several times. The first run uses the store of torchrun, in which
its keys remain; the others need one each, on another port."""


def free_port() -> int:
    """Return a port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder(audio_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with each method in this process, and in two processes of torchrun.

    The two resume the first fold of the fine-tuning, and train the others themselves.
    """
    out = tmp_path_factory.mktemp("distributed")
    other = out / "other.zarr"
    make_store(other, clips=7, speakers=1, modality="audio", corpus="other", seed=1)

    def words(method: str, name: str) -> list[str]:
        options = [*FINETUNE, "--batch-size", "3", "--epochs", "2", "--device", "cpu"]
        if method == "sharded":
            options += SHARDED
        else:
            options += ["--method", method, "--fold", FOLDS[method]]
        if method != "finetune":
            options += ["--test-store", str(other)]
        if method == "linear-probe":  # a cache of its own, so that both runs encode
            options += ["--feature-cache", str(out / f"{name}.features")]
        return [
            *options,
            *("--store", str(audio_store), "--out", str(out / f"{method}-{name}")),
        ]

    def stop_at(step: int, *options: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            stop = partial(signal.raise_signal, signal.SIGTERM)
            run_before_step(patch, step - 1, stop)
            stopped = invoke(*options)
        assert stopped.exit_code == 128 + signal.SIGTERM, stopped.output

    for method in (*METHODS, "sharded"):
        result = invoke(*words(method, "one"))
        assert result.exit_code == 0, result.output
    stop_at(RESUMED_AT, *words("finetune", "two"))
    stop_at(SHARDED_AT, *words("sharded", "two"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    sharded = [*words("sharded", "two"), "--shard-weights"]
    runs = [
        (words("finetune", "two"), "", 0),
        (words("linear-probe", "two"), str(free_port()), 0),
        (sharded, str(free_port()), SHARDED_STOP - 1),
        (sharded, str(free_port()), 0),
    ]
    done = subprocess.run(
        [*torchrun, "--no-python", sys.executable, "-c", RUNS, json.dumps(runs)],
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
    assert done.stdout.count("all numbers:") == len(METHODS) + 1  # one process prints
    return out


@pytest.mark.parametrize("method", [*METHODS, "sharded"])
def test_two_processes_have_the_results_of_one(folder: Path, method: str) -> None:
    """With 23 clips some batches are odd, and one process has no clip of the last.

    The steps of divided weights have more micro-batches in one process, also then.
    """
    one, two = (read_all_numbers(folder / f"{method}-{n}") for n in ("one", "two"))
    assert two["config"] == one["config"]
    for a, b in zip(one["every"], two["every"], strict=True):
        assert a["clip_id"] == b["clip_id"]
        np.testing.assert_allclose(b["probability"], a["probability"], atol=1e-4)
        for x, y in zip(a["history"], b["history"], strict=True):
            assert y["loss"] == pytest.approx(x["loss"], rel=1e-4)
    with (folder / f"{method}-two/predictions-audio.csv").open() as file:
        clips = sum(len(fold["clip_id"]) for fold in one["every"])
        assert len(list(csv.DictReader(file))) == clips


@pytest.mark.parametrize("method", ["linear-probe", "sharded"])
def test_two_processes_test_on_another_store_as_one(folder: Path, method: str) -> None:
    one, two = (
        json.loads(next((folder / f"{method}-{n}/cross-corpus").iterdir()).read_text())
        for n in ("one", "two")
    )
    assert two["clip_id"] == one["clip_id"]
    assert len(one["clip_id"]) == 7
    np.testing.assert_allclose(two["probability"], one["probability"], atol=1e-4)


def test_two_processes_resume_a_fold_of_one(folder: Path) -> None:
    log = (folder / "finetune-two/log.txt").read_text()
    assert f"resuming after epoch 0, step {RESUMED_AT}" in log
    assert "number of processes 1" in log
    assert "number of processes 2" in log
    assert not (folder / "finetune-two/checkpoints").exists()


def test_divided_weights_are_saved_as_whole_ones(folder: Path) -> None:
    """Resumed from one process, and from checkpoints of divided weights."""
    log = (folder / "sharded-two/log.txt").read_text()
    assert "weights are divided among 2 processes" in log
    for step in (SHARDED_AT, SHARDED_STOP):
        assert re.search(rf"resuming after epoch \d, step {step}\n", log)
    one, two = (
        load_file(folder / f"sharded-{name}/weights/audio-1.safetensors")
        for name in ("one", "two")
    )
    assert {k: t.shape for k, t in two.items()} == {k: t.shape for k, t in one.items()}
    for name, tensor in two.items():
        torch.testing.assert_close(tensor, one[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--method", "linear-probe"), "has no effect with --method linear-probe"),
        ((), "there is one process. Start several with torchrun --nproc-per-node"),
    ],
)
def test_weights_that_cannot_be_divided_are_one_line(
    train_audio: Train, words: tuple[str, ...], text: str
) -> None:
    done = train_audio(*FINETUNE, *words, "--shard-weights")
    assert done.exit_code == 1
    assert f"--shard-weights: {text}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_divided_weights_are_not_compiled() -> None:
    with pytest.raises(SettingsError, match="not implemented together with --compile"):
        check_shardable(method="finetune", world_size=2, compiled=True)


def test_gradients_are_stored_once_and_constants_are_not_sent(tmp_path: Path) -> None:
    model = torch.nn.BatchNorm1d(3)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        wrapped = share_gradients(
            model, torch.device("cpu"), unused=False, static_graph=False
        )
        wrapped(torch.randn(4, 3)).sum().backward()
        assert not wrapped.will_sync_module_buffers()  # type: ignore[no-untyped-call]
    finally:
        torch.distributed.destroy_process_group()
    # The gradients are parts of one bucket.
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) == 2
    assert len({g.untyped_storage().data_ptr() for g in gradients}) == 1


@pytest.mark.parametrize(
    ("device", "backend"), [("cpu", "gloo"), ("cuda", "cpu:gloo,cuda:nccl")]
)
def test_the_device_decides_the_backend(
    monkeypatch: pytest.MonkeyPatch, device: str, backend: str
) -> None:
    """Also on a machine with GPUs whose processes train on the CPU."""
    started: list[str] = []
    chosen: list[int] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", started.append)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with distributed_context(device) as world:
        assert (world.rank, world.world_size) == (1, 2)
    assert started == [backend]
    assert chosen == ([1] if device == "cuda" else [])


def test_more_processes_than_gpus_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "2"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    text = "torchrun: 4 processes on this machine, and 2 GPUs. Use --nproc-per-node 2"
    with pytest.raises(SettingsError, match=text), distributed_context("cuda"):
        pass


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
