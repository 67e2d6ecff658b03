"""Dask, and only here: jobs out to workers, in any order."""

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
REPORT_INTERVAL_S = 2.0
"""A worker tells of its clips this often: a message takes as much of the scheduler as a
clip, and a thousand workers share one scheduler."""
ALLOWED_FAILURES = 4
"""Deaths of its worker after which the scheduler gives a job up: one more than the
shard needs to find the clip and leave it out."""
NO_WORKER_TIMEOUT_S = 120.0
"""Without any worker for so long, a run ends. One that dies is followed by another as
soon as that has started: seconds, or a minute on a machine that is busy."""

IGNORE_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Run in each worker: Ctrl-C is for the program, which then ends its workers."""


@runtime_checkable
class Job(Protocol):
    """What a job must tell of itself."""

    @property
    def shard(self) -> int:
        """Name the job."""


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Workers that are ready."""

    client: Client
    workers: int
    dashboard: str
    """Address of the page that shows what the workers do."""

    def run_jobs(
        self,
        function: Callable[[AnyJob, Callable[[str], None]], object],
        jobs: Sequence[AnyJob],
        *,
        tick: Callable[[str], None],
    ) -> Iterator[tuple[AnyJob, bool]]:
        """Do every job and yield it as it ends, with whether it was done.

        It was not where its worker died again and again. What a job gives back stays
        with its worker: it is lost when that one dies, so jobs leave it on disk.

        Args:
            function: Called in a worker with a job, and with what to call per clip.
            jobs: What to do.
            tick: Called here with what the workers' calls were given.

        Raises:
            MmderError: The first that a job raises, or that no worker is left; the
                other jobs are then dropped.
        """

        def hear(event: tuple[Any, Any]) -> None:
            for told in event[1]:
                tick(told)

        self.client.subscribe_topic(TOPIC, hear)
        jobs_of = {f"shard-{job.shard}": job for job in jobs}
        # A future that is let go is forgotten by the scheduler there and then: ten
        # thousand at the end take it longer than it is given to close.
        pending = {
            key: self.client.submit(_on_worker, function, job, key=key, pure=False)
            for key, job in jobs_of.items()
        }
        ended: Queue[Future[None]] = Queue()
        try:
            for future in pending.values():
                future.add_done_callback(ended.put)
            for _ in jobs_of:
                future = self._next(ended)
                error = future.exception() if future.status == "error" else None
                if error is not None and not isinstance(error, KilledWorker):
                    raise error
                key = str(future.key)
                del pending[key], future
                yield jobs_of[key], error is None
        finally:
            self.client.cancel(list(pending.values()), force=True)
            self.client.unsubscribe_topic(TOPIC)

    def _next(self, ended: "Queue[Future[None]]") -> "Future[None]":
        """Wait for a job that has ended, as long as there is anyone to end it."""
        seen = time.monotonic()
        while time.monotonic() - seen < NO_WORKER_TIMEOUT_S:
            try:
                return ended.get(timeout=NO_WORKER_TIMEOUT_S / 20)
            except Empty:
                # The number, not the list: the client itself asks now and then for no
                # list at all, and that answer may take the place of ours.
                if self.client.scheduler_info(n_workers=0)["n_workers"] > 0:
                    seen = time.monotonic()
        msg = (
            f"no worker is left, and none came within {NO_WORKER_TIMEOUT_S:.0f} s. Run the same "
            "command again: it goes on, what is done is kept"
        )
        raise StoreIncompleteError(msg)


def _on_worker(
    function: Callable[[AnyJob, Callable[[str], None]], object], job: AnyJob
) -> None:
    worker = get_worker()
    told: list[str] = []
    sent_s = time.monotonic()

    def tell(status: str) -> None:
        nonlocal sent_s
        told.append(status)
        if time.monotonic() - sent_s > REPORT_INTERVAL_S:
            worker.log_event(TOPIC, list(told))
            told.clear()
            sent_s = time.monotonic()

    try:
        function(job, tell)
    finally:
        if told:
            worker.log_event(TOPIC, list(told))


@contextmanager
def open_cluster(*, workers: int, scheduler: str | None) -> Iterator[Cluster]:
    """Start workers on this machine, or join those of a running scheduler.

    Local workers are copies of the template (forks of this process would inherit the
    locks of Dask's threads), have one thread each, and listen on this machine only.

    Raises:
        SettingsError: If no scheduler answers at the address.
    """
    with ExitStack() as stack:
        stack.enter_context(
            dask.config.set(
                {
                    "distributed.worker.multiprocessing-method": worker_template.start_method(),
                    "distributed.nanny.pre-spawn-environ": worker_template.ENVIRONMENT,
                    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
                    # One job a worker: a death is then blamed on no other job.
                    "distributed.scheduler.worker-saturation": 1.0,
                    "distributed.comm.timeouts.connect": "10s",
                    # So long after a death, Dask looks whether that worker is back; if
                    # not at that moment, it gives it up for good. One that dies twice,
                    # or starts slowly, would be lost, and with the last one the run.
                    "distributed.deploy.lost-worker-timeout": "365d",
                    "distributed.logging.distributed": "error",
                }
            )
        )
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
                    "address of a running dask scheduler, as tcp://10.0.0.1:8786"
                )
                raise SettingsError(msg) from error
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            if workers == 0:
                msg = f"scheduler {scheduler!r}: it has no workers; start some first"
                raise SettingsError(msg)
        yield Cluster(client=client, workers=workers, dashboard=client.dashboard_link)
