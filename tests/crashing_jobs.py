"""Jobs and files that end the process that handles them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.media.source import Source
from mmder_prep.pipeline.shard import ShardSummary, make_shard
from mmder_prep.pipeline.shard_plan import ShardJob


@dataclass(frozen=True)
class CrashingJob:
    """A job that ends its worker on its first `crashes` attempts."""

    shard: int
    crashes: int
    folder: str

    def attempts(self) -> int:
        return len(list(Path(self.folder).glob(f"{self.shard}-*")))


def run_or_crash(job: CrashingJob, tick: Callable[[str], None]) -> None:
    attempt = job.attempts()
    Path(job.folder, f"{job.shard}-{attempt}").touch()
    if attempt < job.crashes:
        os._exit(9)
    tick("ok")


def crash_at(job: ShardJob, clip_id: str) -> ShardSummary:
    """Prepare a shard in a process that ends while it is at a clip."""
    log = Path(job.store, "ledger", f".at-{job.shard:06d}")

    def tick(_status: str) -> None:
        if f'"{clip_id}"' in log.read_text().split("deaths")[0]:
            os._exit(9)

    return make_shard(job, tick)


class CrashingSource(Source):
    """A file whose decoder ends the process."""

    def input(self) -> str:
        os._exit(9)
