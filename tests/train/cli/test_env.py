"""The machine as `mmder-train env` shows it, against other sources of the facts."""

import platform
import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from mmder_train.cli.env import (
    GIB,
    Gpu,
    Machine,
    clip_bytes,
    count_parameters,
    encoder_lines,
    machine_lines,
    usable_memory,
)
from mmder_train.models.registry import ENCODERS, build_encoder
from run_cli import run_here

MACHINE = Machine(
    mmder="1.0",
    python="3.11.0",
    platform="Linux x86_64",
    torch="2.9",
    cuda="13.0",
    cores=8,
    memory_bytes=16 * GIB,
    gpus=(),
    compiler="/usr/bin/g++",
    triton=True,
    folder=Path("/data"),
    free_bytes=10_000_000,
    clip_bytes=3_000_000,
)
H100 = Gpu(name="H100", memory_bytes=80 * GIB, capability="9.0")


def test_command_prints_this_machine() -> None:
    """Versions, sizes and a row per encoder; the name of the machine is not printed."""
    text = run_here("mmder_train", "env").output
    assert f"PyTorch   {torch.__version__}" in text
    assert platform.python_version() in text
    assert platform.node() not in text
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert set(ENCODERS) < set(rows)
    assert ("GPU       none" in text) == (not torch.cuda.is_available())


def test_parameters_are_those_of_the_built_encoders() -> None:
    counts = count_parameters()
    assert list(counts) == list(ENCODERS)
    for name in ("tiny", "small"):
        built = sum(p.numel() for p in build_encoder(name).parameters())
        assert counts[name] == built


def test_memory_is_that_of_the_system(tmp_path: Path) -> None:
    """The limit of a container is lower."""
    total = usable_memory(tmp_path)
    assert total == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert usable_memory(tmp_path) == GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_memory(tmp_path) == total


def test_clips_that_fit_on_the_disk_are_counted() -> None:
    """16 faces of 224 x 224 x 3 bytes are most of a clip."""
    assert 16 * 224 * 224 * 3 < clip_bytes() < 1.5 * 16 * 224 * 224 * 3
    text = "\n".join(machine_lines(MACHINE))
    assert "a store of at least 3 clips (3.0 MB per clip, uncompressed)" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "--compile usable: C++ compiler /usr/bin/g++"),
        ({"compiler": ""}, "--compile not usable: no C++ compiler"),
        ({"gpus": (H100,)}, "--compile usable: Triton"),
        ({"gpus": (H100,), "triton": False}, "Triton is not installed"),
        ({"gpus": (H100,)}, "GPU       H100, 80 GiB, compute capability 9.0"),
        ({"memory_bytes": None}, "memory    unknown"),
        ({"cuda": ""}, "PyTorch   2.9, CPU build"),
    ],
)
def test_line_depends_on_the_machine(changes: dict[str, object], expected: str) -> None:
    lines = list(machine_lines(replace(MACHINE, **changes)))  # type: ignore[arg-type]
    assert any(expected in line for line in lines), lines


@pytest.mark.parametrize(
    ("memory_bytes", "gpus", "verdict"),
    [
        (16 * GIB, (), ""),
        (8 * GIB, (), "too large for the memory in fine-tuning"),
        (2 * GIB, (), "too large for the memory"),
        (2 * GIB, (H100,), ""),
        (None, (), ""),
    ],
)
def test_too_large_encoders_are_named(
    memory_bytes: int | None, gpus: tuple[Gpu, ...], verdict: str
) -> None:
    """630 million parameters take 2.3 GiB frozen, and 9.4 GiB in fine-tuning."""
    machine = replace(MACHINE, memory_bytes=memory_bytes, gpus=gpus)
    row = list(encoder_lines(machine, {"huge": 630_000_000}))[-1]
    assert row.split()[1:7] == ["630.0", "M", "2.35", "GiB", "9.39", "GiB"]
    assert row.split("GiB")[-1].strip() == verdict


def test_free_space_is_that_of_the_folder() -> None:
    lines = run_here("mmder_train", "env").output.splitlines()
    line = next(line for line in lines if line.startswith("disk"))
    free = float(line.split()[1])
    assert free == pytest.approx(shutil.disk_usage(Path.cwd()).free / GIB, rel=0.1)
