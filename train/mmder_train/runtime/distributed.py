"""Processes that train one model together, started by torchrun."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mmder_store.errors import MmderError, SettingsError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldInfo:
    """Number of processes that train together, and the rank of this one."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_primary(self) -> bool:
        """True for the process that writes files and prints."""
        return self.rank == 0

    def shard(self, index: Sequence[int]) -> list[int]:
        """Return this process's part of a batch: every `world_size`-th clip.

        If a batch has fewer clips than there are processes, the others receive its
        first clip, so that all processes take part in each step. See `has_own_clip`.
        """
        return list(index[self.rank :: self.world_size]) or list(index[:1])

    def has_own_clip(self, clips: int) -> bool:
        """Return whether this process has a clip of its own in a batch of this size."""
        return self.rank < clips

    def all_gather(self, value: object) -> list[Any]:
        """Return the values of all processes in the order of their ranks."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, compute: Callable[[], Value]) -> Value:
        """Return the value that the primary process computes, in all processes.

        An error of the primary process is raised in all of them.
        """
        value: Value | None = None
        error: MmderError | OSError | None = None
        if self.is_primary:
            try:
                value = compute()
            except (MmderError, OSError) as caught:
                error = caught
        value, error = self.all_gather((value, error))[0]
        if error is not None:
            raise error
        return value

    def all_reduce_sum(self, value: float) -> float:
        """Return the sum over all processes."""
        return float(sum(self.all_gather(value)))

    def all_reduce_max(self, value: int) -> int:
        """Return the maximum over all processes. Fast enough for every step.

        Numbers go over gloo, so that no process waits for its GPU.
        """
        if self.world_size == 1:
            return value
        maximum = torch.tensor(value)
        distributed.all_reduce(maximum, distributed.ReduceOp.MAX)
        return int(maximum)


SINGLE_PROCESS = WorldInfo()


BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""Backends of the process group by kind of device. Gradients on GPUs go over NCCL;
Python objects and numbers go over gloo."""


def check_launcher(environment: Mapping[str, str]) -> None:
    """Check that SLURM did not start several independent copies of this program.

    `srun -n2` starts two. Without torchrun, both would train everything and write to
    the same folder. A batch script runs once, whatever its number of tasks.

    Args:
        environment: Environment variables of this process.

    Raises:
        SettingsError: If it did.
    """
    if "WORLD_SIZE" in environment or "SLURM_STEP_ID" not in environment:
        return
    tasks = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS")
    if tasks is None or not tasks.isdigit() or int(tasks) < 2:
        return
    nodes = environment.get("SLURM_STEP_NUM_NODES", "1")
    per_node = max(1, int(tasks) // max(1, int(nodes))) if nodes.isdigit() else 1
    msg = (
        f"srun started {tasks} copies of mmder-train, which would all train the whole "
        "run and write to one folder. Start one torchrun per node: srun "
        f"--ntasks-per-node=1 torchrun --nnodes={nodes} --nproc-per-node={per_node} "
        "--rdzv-backend=c10d --rdzv-endpoint=FIRST_NODE:29500 --no-python mmder-train "
        "... (or one process: srun -n1 mmder-train ...)"
    )
    raise SettingsError(msg)


@contextmanager
def distributed_context(device: str) -> Iterator[WorldInfo]:
    """Join the process group that torchrun started, and leave it at the end.

    Without torchrun this yields `SINGLE_PROCESS`.

    Args:
        device: Kind of device that the processes train on, ``cpu`` or ``cuda``.

    Raises:
        SettingsError: If torchrun's environment variables are not numbers, there are
            fewer GPUs than processes, the processes cannot be reached, or srun started
            several copies.
    """
    check_launcher(os.environ)
    if "WORLD_SIZE" not in os.environ:
        yield SINGLE_PROCESS
        return
    try:
        if device == "cuda":
            _choose_gpu(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group(BACKENDS[device])
    except SettingsError:
        raise
    except (ValueError, RuntimeError) as error:
        msg = f"torchrun: the process group cannot be joined ({error})"
        raise SettingsError(msg) from error
    try:
        yield WorldInfo(
            rank=distributed.get_rank(), world_size=distributed.get_world_size()
        )
    finally:
        distributed.destroy_process_group()


def _choose_gpu(local_rank: int) -> None:
    """Make a GPU of its own the current one of this process."""
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        processes = os.environ.get("LOCAL_WORLD_SIZE", str(local_rank + 1))
        msg = (
            f"torchrun: {processes} processes on this machine, and {gpus} GPUs. Use "
            f"--nproc-per-node {gpus}, or --device cpu."
        )
        raise SettingsError(msg)
    torch.cuda.set_device(local_rank)


def share_gradients(
    model: nn.Module, device: torch.device, *, unused: bool, static_graph: bool
) -> DistributedDataParallel:
    """Wrap a model so that all processes train with the mean of their gradients.

    Args:
        model: Model on the device.
        device: Device of this process.
        unused: True if some weights receive no gradient.
        static_graph: True if every step has one backward pass through the same graph.
            DistributedDataParallel fails with it if gradients are accumulated.
    """
    options = signature(DistributedDataParallel).parameters
    # All buffers are constants and need no copy in each step; torch 2.15 renamed it.
    copies = "forward_sync_buffers"
    no_copies: dict[str, Any] = {
        copies if copies in options else "broadcast_buffers": False
    }
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        find_unused_parameters=unused,
        static_graph=static_graph and not unused,
        # Gradients are not stored twice.
        gradient_as_bucket_view=True,
        **no_copies,
    )
