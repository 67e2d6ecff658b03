"""`mmder-train env`: the machine as mmder sees it, and the memory of each encoder."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from mmder_train.cli.options import verbose_option
from mmder_train.runtime.cores import CGROUP, usable_cores

GIB = 2**30
TRAIN_BYTES = 16
"""Bytes per parameter in fine-tuning: the weight, its gradient and the two moments of
AdamW, in float32."""
FROZEN_BYTES = 4
"""Bytes per parameter of a frozen encoder, in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A CUDA device."""

    name: str
    memory_bytes: int
    capability: str
    """Compute capability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Properties of this machine that matter for mmder."""

    mmder: str
    python: str
    platform: str
    torch: str
    cuda: str
    """CUDA version that PyTorch was built with. Empty for a CPU build."""
    cores: int
    """Number of cores that this process may use."""
    memory_bytes: int | None
    """Memory that this process may use; None if unknown."""
    gpus: tuple[Gpu, ...]
    compiler: str
    """Path of the C++ compiler that `--compile` uses on a CPU. Empty without one."""
    triton: bool
    """True if Triton is installed, which `--compile` uses on a GPU."""
    folder: Path
    free_bytes: int
    """Free disk space in the folder."""
    clip_bytes: int
    """Uncompressed size of a clip in a store of video and audio."""


@click.command()
@verbose_option
def env() -> None:
    """Show the machine as mmder sees it, and the memory that each encoder needs.

    Python, PyTorch, cores, memory, GPUs, the compiler of --compile, and free disk
    space. Nothing is trained or written. Paste the output into a bug report.
    """
    machine = this_machine()
    for line in machine_lines(machine):
        click.echo(line)
    for line in encoder_lines(machine, count_parameters()):
        click.echo(line)


def machine_lines(machine: Machine) -> Iterator[str]:
    """Yield the properties of a machine, one per line."""
    build = f"CUDA {machine.cuda}" if machine.cuda else "CPU build"
    memory = machine.memory_bytes
    yield f"mmder     {machine.mmder}"
    yield f"Python    {machine.python} on {machine.platform}"
    yield f"PyTorch   {machine.torch}, {build}"
    yield f"CPU       {machine.cores} cores"
    yield f"memory    {_gib(memory)}" if memory else "memory    unknown"
    for gpu in machine.gpus:
        yield (
            f"GPU       {gpu.name}, {_gib(gpu.memory_bytes)}, compute capability "
            f"{gpu.capability}"
        )
    if not machine.gpus:
        yield "GPU       none that PyTorch can use; everything runs on the CPU"
    yield f"--compile {_compile_text(machine)}"
    clips = machine.free_bytes // machine.clip_bytes
    yield (
        f"disk      {_gib(machine.free_bytes)} free in {machine.folder}: a store of at "
        f"least {clips} clips ({machine.clip_bytes / 1e6:.1f} MB per clip, "
        "uncompressed)"
    )


def _compile_text(machine: Machine) -> str:
    if machine.gpus:
        return (
            "usable: Triton is installed"
            if machine.triton
            else "not usable on the GPU: Triton is not installed (pip install triton)"
        )
    if machine.compiler:
        return f"usable: C++ compiler {machine.compiler}"
    return "not usable: no C++ compiler; install g++"


def encoder_lines(machine: Machine, parameters: dict[str, int]) -> Iterator[str]:
    """Yield a table of the memory that the weights of each encoder need.

    Activations and clips are not included, so "too large" is certain, and "fits" is
    not.
    """
    device = "GPU" if machine.gpus else "memory"
    available = (
        max(gpu.memory_bytes for gpu in machine.gpus)
        if machine.gpus
        else machine.memory_bytes
    )
    yield ""
    yield (
        "Memory that an encoder needs at least, without activations and clips. "
        "Linear probe: float32"
    )
    yield (
        "weights. Fine-tuning: weights, gradients and two moments of AdamW, "
        f"{TRAIN_BYTES} bytes per parameter."
    )
    yield f"{'encoder':<10}{'parameters':>12}{'linear probe':>15}{'fine-tuning':>14}"
    for name, count in parameters.items():
        probe, tune = count * FROZEN_BYTES, count * TRAIN_BYTES
        sizes = f"{count / 1e6:>10.1f} M{_gib(probe):>15}{_gib(tune):>14}"
        verdict = _verdict((probe, tune), available, device)
        yield f"{name:<10}{sizes}  {verdict}".rstrip()


def _verdict(needed: Sequence[int], available: int | None, device: str) -> str:
    """Return a remark if an encoder is certainly too large."""
    if available is None or max(needed) <= available:
        return ""
    if min(needed) > available:
        return f"too large for the {device}"
    return f"too large for the {device} in fine-tuning"


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count < 10 * GIB else f"{count / GIB:.0f} GiB"


def this_machine() -> Machine:
    """Return the properties of this machine."""
    from importlib.metadata import version
    from importlib.util import find_spec

    import torch

    compilers = (os.environ.get("CXX") or "g++", "clang++")
    return Machine(
        mmder=version("mmder"),
        python=sys.version.split()[0],
        # The node name identifies a machine, so it is not printed.
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        torch=torch.__version__,
        cuda=torch.version.cuda or "",
        cores=usable_cores(CGROUP),
        memory_bytes=usable_memory(CGROUP),
        gpus=tuple(_gpus()),
        compiler=next(filter(None, map(shutil.which, compilers)), ""),
        triton=find_spec("triton") is not None,
        folder=Path.cwd(),
        free_bytes=shutil.disk_usage(Path.cwd()).free,
        clip_bytes=clip_bytes(),
    )


def _gpus() -> Iterator[Gpu]:
    import torch

    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Gpu(
            name=properties.name,
            memory_bytes=properties.total_memory,
            capability=f"{properties.major}.{properties.minor}",
        )


def usable_memory(cgroup: Path) -> int | None:
    """Return the memory in bytes, within the cgroup; None if it is unknown."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(total, int((cgroup / "memory.max").read_text()))
    except (OSError, ValueError):
        return total


def clip_bytes() -> int:
    """Return the uncompressed size of a clip in a store of video and audio."""
    import math

    import numpy as np

    from mmder_store.schema import arrays_of, shape_of
    from mmder_store.settings import PrepSettings

    settings = PrepSettings()
    return sum(
        np.dtype(a.dtype).itemsize * math.prod(shape_of(a, settings))
        for a in arrays_of(settings)
    )


def count_parameters() -> dict[str, int]:
    """Return the number of parameters of each encoder."""
    from mmder_train.models.registry import ENCODERS
    from mmder_train.weights import build_meta_encoder

    return {
        name: sum(p.numel() for p in build_meta_encoder(name).parameters())
        for name in ENCODERS
    }
