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
class Group:
    """How many processes there are, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def part(self, index: Sequence[int]) -> list[int]:
        """Give this process's part of a batch: every so many clips of it.

        Where there are fewer clips than processes, some get the first one again, so
        that all take part in each step; it does not count (`counts`).
        """
        return list(index[self.rank :: self.size]) or list(index[:1])

    def counts(self, clips: int) -> bool:
        """Tell if a batch of so many clips has one of this process's own."""
        return self.rank < clips

    def gathered(self, value: object) -> list[Any]:
        """Give what each process has, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def total(self, value: float) -> float:
        """Give the sum over all processes."""
        return float(sum(self.gathered(value)))

    def highest(self, value: int) -> int:
        """Give the highest number of all processes; cheap enough for every step."""
        if self.size == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        found = torch.tensor(value, device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """Join the processes that torchrun started, and leave them; alone without it.

    Raises:
        SettingsError: If torchrun's variables are not numbers, or its processes cannot
            be reached.
    """
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
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
        yield Group(rank=distributed.get_rank(), size=distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
