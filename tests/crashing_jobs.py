"""Jobs and files that end the process that takes them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.media.source import Source
from mmder_prep.pipeline.shard import ShardSummary, make_shard
from mmder_prep.pipeline.shard_plan import ShardJob


@dataclass(frozen=True)
class Mortal:
    """A job whose worker dies on its first `deaths` attempts."""

    shard: int
    deaths: int
    folder: str

    def attempts(self) -> int:
        return len(list(Path(self.folder).glob(f"{self.shard}-*")))


def live_or_die(job: Mortal, tick: Callable[[str], None]) -> None:
    attempt = job.attempts()
    Path(job.folder, f"{job.shard}-{attempt}").touch()
    if attempt < job.deaths:
        os._exit(9)
    tick("ok")


def die_at(job: ShardJob, clip_id: str) -> ShardSummary:
    """Make a shard, in a process that ends while it is at a clip."""
    at = Path(job.store, "ledger", f".at-{job.shard:06d}")

    def tick(_status: str) -> None:
        if f'"{clip_id}"' in at.read_text().split("deaths")[0]:
            os._exit(9)

    return make_shard(job, tick)


class Deadly(Source):
    """A file whose decoder ends the process."""

    def input(self) -> str:
        os._exit(9)
