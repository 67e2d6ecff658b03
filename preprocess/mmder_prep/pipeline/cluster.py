"""Dask: run jobs on local workers or on a running cluster."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any, Protocol, TypeVar, runtime_checkable

import dask
from distributed import Client, Future, LocalCluster, get_worker
from distributed.scheduler import KilledWorker

from mmder_prep.pipeline import worker_template
from mmder_store.errors import SettingsError, StoreIncompleteError

TOPIC = "mmder-clips"
"""Dask topic of the statuses that workers send."""
REPORT_INTERVAL_S = 2.0
"""Minimum time between two messages of a worker. A message costs the scheduler as much
time as a clip, and a thousand workers share one scheduler."""
ALLOWED_FAILURES = 4
"""Number of crashes of its workers after which the scheduler fails a job. A shard
needs one less to find the clip that crashes and skip it."""
NO_WORKER_TIMEOUT_S = 120.0
"""Time without any worker after which a run ends. A crashed worker is replaced within
seconds, or within a minute on a busy machine."""

IGNORE_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Code run in each worker. The program handles Ctrl-C and then stops its workers."""


@runtime_checkable
class Job(Protocol):
    """A job with an index that is unique among the jobs of a run."""

    @property
    def shard(self) -> int:
        """Index of the shard."""


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A connection to a Dask cluster with workers."""

    client: Client
    workers: int
    """Number of workers."""
    dashboard: str
    """URL of the Dask dashboard."""

    def run_jobs(
        self,
        function: Callable[[AnyJob, Callable[[str], None]], object],
        jobs: Sequence[AnyJob],
        *,
        tick: Callable[[str], None],
    ) -> Iterator[tuple[AnyJob, bool]]:
        """Run every job and yield it when it ends, with True if it was done.

        It is False if the workers of the job crashed repeatedly. The return value of a
        job is discarded, since it would be lost if its worker crashed later: jobs write
        their results to disk.

        Args:
            function: Called on a worker with a job and a callback for statuses.
            jobs: The jobs.
            tick: Called in this process with each status that a job reports.

        Raises:
            MmderError: The first error raised by a job; the other jobs are canceled.
            StoreIncompleteError: If no worker is left.
        """

        def on_event(event: tuple[Any, Any]) -> None:
            for status in event[1]:
                tick(status)

        self.client.subscribe_topic(TOPIC, on_event)
        jobs_by_key = {f"shard-{job.shard}": job for job in jobs}
        # The scheduler forgets a future when its last reference is deleted. Futures are
        # deleted one by one as they end: ten thousand at the end would take it longer
        # than the time it has to close.
        pending = {
            key: self.client.submit(_run_on_worker, function, job, key=key, pure=False)
            for key, job in jobs_by_key.items()
        }
        ended: Queue[Future[None]] = Queue()
        try:
            for future in pending.values():
                future.add_done_callback(ended.put)
            for _ in jobs_by_key:
                future = self._next(ended)
                error = future.exception() if future.status == "error" else None
                if error is not None and not isinstance(error, KilledWorker):
                    raise error
                key = str(future.key)
                del pending[key], future
                yield jobs_by_key[key], error is None
        finally:
            self.client.cancel(list(pending.values()), force=True)
            self.client.unsubscribe_topic(TOPIC)

    def _next(self, ended: "Queue[Future[None]]") -> "Future[None]":
        """Wait for the next job that ends.

        Raises:
            StoreIncompleteError: If there was no worker for NO_WORKER_TIMEOUT_S.
        """
        last_seen_s = time.monotonic()
        while time.monotonic() - last_seen_s < NO_WORKER_TIMEOUT_S:
            try:
                return ended.get(timeout=NO_WORKER_TIMEOUT_S / 20)
            except Empty:
                # Ask for the number, not the list of workers: the client itself
                # sometimes asks for an empty list, and may replace our answer by it.
                if self.client.scheduler_info(n_workers=0)["n_workers"] > 0:
                    last_seen_s = time.monotonic()
        msg = (
            f"no worker is left, and none started within {NO_WORKER_TIMEOUT_S:.0f} s. "
            "Rerun the same command to resume; finished shards are kept"
        )
        raise StoreIncompleteError(msg)


def _run_on_worker(
    function: Callable[[AnyJob, Callable[[str], None]], object], job: AnyJob
) -> None:
    """Run a job on this worker, and send its statuses to the program."""
    worker = get_worker()
    statuses: list[str] = []
    sent_s = time.monotonic()

    def report(status: str) -> None:
        nonlocal sent_s
        statuses.append(status)
        if time.monotonic() - sent_s > REPORT_INTERVAL_S:
            worker.log_event(TOPIC, list(statuses))
            statuses.clear()
            sent_s = time.monotonic()

    try:
        function(job, report)
    finally:
        if statuses:
            worker.log_event(TOPIC, list(statuses))


@contextmanager
def open_cluster(*, workers: int, scheduler: str | None) -> Iterator[Cluster]:
    """Start workers on this machine, or connect to a running scheduler.

    Local workers have one thread each and listen on this machine only. They are forked
    from the template: a fork of this process would inherit the locks of Dask's threads.

    Args:
        workers: Number of local workers.
        scheduler: Address of a running scheduler; None starts local workers.

    Raises:
        SettingsError: If no scheduler answers at the address, or it has no workers.
    """
    settings = {
        "distributed.worker.multiprocessing-method": worker_template.start_method(),
        "distributed.nanny.pre-spawn-environ": worker_template.ENVIRONMENT,
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        # One job per worker, so that a crash counts against one job only.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.comm.timeouts.connect": "10s",
        # After this time Dask checks once whether a crashed worker is back, and if not
        # abandons it for good. A worker that crashes twice or starts slowly would be
        # lost, and the run with the last one.
        "distributed.deploy.lost-worker-timeout": "365d",
        "distributed.logging.distributed": "error",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            local = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=50,
                    preload=[IGNORE_SIGINT],
                )
            )
            client = stack.enter_context(Client(local))
        else:
            try:
                client = stack.enter_context(Client(scheduler, timeout="10s"))
            except (OSError, ValueError) as error:
                msg = (
                    f"scheduler {scheduler!r}: no answer ({error}). Expected the "
                    "address of a running Dask scheduler, such as tcp://10.0.0.1:8786"
                )
                raise SettingsError(msg) from error
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            if workers == 0:
                msg = f"scheduler {scheduler!r}: it has no workers; start some first"
                raise SettingsError(msg)
        yield Cluster(client=client, workers=workers, dashboard=client.dashboard_link)
