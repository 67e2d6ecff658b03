"""Preparation of shards on worker processes, with progress."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.progress import ClipProgress
from mmder_prep.pipeline.shard import ShardSummary, make_shard, summarize_shard
from mmder_prep.pipeline.shard_plan import ShardJob
from mmder_store import ledger
from mmder_store.errors import StoreIncompleteError

if TYPE_CHECKING:
    from mmder_prep.pipeline.cluster import Cluster


def run_shards(
    jobs: Sequence[ShardJob],
    *,
    workers: int,
    scheduler: str | None = None,
    console: Console,
) -> list[ShardSummary]:
    """Prepare shards on local workers or on a cluster, and return their summaries.

    Args:
        jobs: At least one shard to prepare.
        workers: Number of local worker processes.
        scheduler: Address or file of a running Dask scheduler; None starts workers.
        console: Console for the progress.

    Raises:
        StoreIncompleteError: If workers crashed repeatedly in a shard, or no worker is
            left.
    """
    if scheduler is None:
        worker_template.start(worker_template.required_modules(jobs[0].settings))
    # Importing Dask takes a second; a run without jobs does not need it.
    from mmder_prep.pipeline.cluster import open_cluster

    total = sum(len(job.clips) for job in jobs)
    workers = min(workers, len(jobs))
    with open_cluster(workers=workers, scheduler=scheduler) as cluster:
        console.print(
            f"{total} clips in {len(jobs)} shards on {cluster.workers} workers; "
            f"dashboard {cluster.dashboard}",
            highlight=False,
        )
        with ClipProgress(total, console) as progress:
            return _collect(cluster, jobs, progress)


def _collect(
    cluster: "Cluster", jobs: Sequence[ShardJob], progress: ClipProgress
) -> list[ShardSummary]:
    """Return the summaries of the jobs.

    Raises:
        StoreIncompleteError: If workers crashed repeatedly in a shard, or no worker is
            left.
    """
    summaries: list[ShardSummary] = []
    lost: list[int] = []
    ended = cluster.run_jobs(
        make_shard, list(jobs), tick=progress.tick, warn=progress.warn
    )
    for job, alive in ended:
        record = ledger.read(Path(job.store), job.shard)
        if alive and record is not None:
            summaries.append(summarize_shard(record, kept=False))
        else:
            lost.append(job.shard)
    if lost:
        msg = (
            f"shards {', '.join(map(str, sorted(lost)))}: their workers crashed "
            "repeatedly, most likely out of memory. Rerun the same command with fewer "
            "--workers to resume; finished shards are kept"
        )
        raise StoreIncompleteError(msg)
    return summaries
