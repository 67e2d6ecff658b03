"""The processes that train one model together, started by torchrun; or the only one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from mmder_store.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldInfo:
    """How many processes there are, and which of them this is."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_primary(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def shard(self, index: Sequence[int]) -> list[int]:
        """Give this process's part of a batch: every so many clips of it.

        Where there are fewer clips than processes, some get the first one again, so
        that all take part in each step; it does not count (`counts`).
        """
        return list(index[self.rank :: self.world_size]) or list(index[:1])

    def shard_sizes(self, clips: int) -> bool:
        """Tell if a batch of so many clips has one of this process's own."""
        return self.rank < clips

    def all_gather(self, value: object) -> list[Any]:
        """Give what each process has, in the order of ranks."""
        if self.world_size == 1:
            return [value]
        found: list[Any] = [None] * self.world_size
        distributed.all_gather_object(found, value)
        return found

    def all_reduce_sum(self, value: float) -> float:
        """Give the sum over all processes."""
        return float(sum(self.all_gather(value)))

    def all_reduce_max(self, value: int) -> int:
        """Give the highest number of all processes; cheap enough for every step."""
        if self.world_size == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        found = torch.tensor(value, device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)


SINGLE_PROCESS = WorldInfo()


@contextmanager
def distributed_context() -> Iterator[WorldInfo]:
    """Join the processes that torchrun started, and leave them; alone without it.

    Raises:
        SettingsError: If torchrun's variables are not numbers, or its processes cannot
            be reached.
    """
    if "WORLD_SIZE" not in os.environ:
        yield SINGLE_PROCESS
        return
    try:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(local)
        distributed.init_process_group("nccl" if gpu else "gloo")
    except (ValueError, RuntimeError) as error:
        msg = f"torchrun: its processes cannot be joined ({error})"
        raise SettingsError(msg) from error
    try:
        yield WorldInfo(
            rank=distributed.get_rank(), world_size=distributed.get_world_size()
        )
    finally:
        distributed.destroy_process_group()
