"""Processes that train one model together, started by torchrun."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

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
        """Return the maximum over all processes. Fast enough for every step."""
        if self.world_size == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        maximum = torch.tensor(value, device=device)
        distributed.all_reduce(maximum, distributed.ReduceOp.MAX)
        return int(maximum)


SINGLE_PROCESS = WorldInfo()


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
def distributed_context() -> Iterator[WorldInfo]:
    """Join the process group that torchrun started, and leave it at the end.

    Without torchrun this yields `SINGLE_PROCESS`.

    Raises:
        SettingsError: If torchrun's environment variables are not numbers, its
            processes cannot be reached, or srun started several copies.
    """
    check_launcher(os.environ)
    if "WORLD_SIZE" not in os.environ:
        yield SINGLE_PROCESS
        return
    try:
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(local_rank)
        distributed.init_process_group("nccl" if gpu else "gloo")
    except (ValueError, RuntimeError) as error:
        msg = f"torchrun: the process group cannot be joined ({error})"
        raise SettingsError(msg) from error
    try:
        yield WorldInfo(
            rank=distributed.get_rank(), world_size=distributed.get_world_size()
        )
    finally:
        distributed.destroy_process_group()
