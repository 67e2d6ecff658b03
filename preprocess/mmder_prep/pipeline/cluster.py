"""Dask: run jobs on local workers or on a running cluster."""

import pickle
import pkgutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol, TypeVar, runtime_checkable
from uuid import uuid4

import dask
from distributed import Client, Future, LocalCluster, get_worker
from distributed.scheduler import KilledWorker

from mmder_prep.pipeline import temp_folder, worker_signals, worker_template
from mmder_prep.pipeline.worker_check import UnfitWorkerError
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


class WorkerDeclinedError(Exception):
    """A worker that cannot do jobs of this run: its address, its host, the reason."""


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
    scheduler: str
    """Address of the scheduler."""

    def run_jobs(
        self,
        function: Callable[[AnyJob, Callable[[str], None]], object],
        jobs: Sequence[AnyJob],
        *,
        tick: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> Iterator[tuple[AnyJob, bool]]:
        """Run every job and yield it when it ends, with True if it was done.

        It is False if the workers of the job crashed repeatedly. The return value of a
        job is discarded, since it would be lost if its worker crashed later: jobs write
        their results to disk.

        A worker that raises UnfitWorkerError, or that cannot import the function or the
        job, is retired, and another worker does the job.

        Args:
            function: Called on a worker with a job and a callback for statuses.
            jobs: The jobs.
            tick: Called in this process with each status that a job reports.
            warn: Called in this process with a line per worker that is retired.

        Raises:
            MmderError: The first error raised by a job; the other jobs are canceled.
            StoreIncompleteError: If no worker is left, or the scheduler is lost.
        """

        def on_event(event: tuple[Any, Any]) -> None:
            for status in event[1]:
                tick(status)

        self.client.subscribe_topic(TOPIC, on_event)
        ended: Queue[Future[None]] = Queue()
        # The scheduler forgets a future when its last reference is deleted. Futures are
        # deleted one by one as they end: ten thousand at the end would take it longer
        # than the time it has to close.
        pending: dict[str, tuple[Future[None], AnyJob]] = {}

        def submit(job: AnyJob) -> None:
            # Keys are unique: the scheduler may still know those of a killed run.
            key = f"shard-{job.shard}-{uuid4().hex}"
            # A worker that lacks a module would fail to unpickle a job, and close.
            call = pickle.dumps((function, job))
            future = self.client.submit(_run_on_worker, call, key=key, pure=False)
            pending[key] = future, job

        retired = self._retire_without_mmder(warn)
        for job in jobs:
            submit(job)
        try:
            for future, _ in list(pending.values()):
                future.add_done_callback(ended.put)
            while pending:
                future = self._next(ended)
                error = future.exception() if future.status == "error" else None
                if future.status not in ("finished", "error"):
                    raise StoreIncompleteError(self._lost_message())
                key = str(future.key)
                del future
                job = pending.pop(key)[1]
                if isinstance(error, WorkerDeclinedError):
                    address, host, reason = map(str, error.args)
                    if address not in retired:
                        retired.add(address)
                        self.retire(address, host, reason, warn)
                    submit(job)
                    next(reversed(pending.values()))[0].add_done_callback(ended.put)
                    continue
                if error is not None and not isinstance(error, KilledWorker):
                    raise error
                yield job, error is None
        finally:
            with suppress(OSError, RuntimeError):  # the scheduler may be gone
                self.client.cancel([f for f, _ in pending.values()], force=True)
                self.client.unsubscribe_topic(TOPIC)

    def _retire_without_mmder(self, warn: Callable[[str], None]) -> set[str]:
        """Retire the workers that lack mmder or have one without this module.

        A job would end such a worker without a word. Local workers are not asked.

        Returns:
            Addresses of the retired workers.
        """
        if self.client.cluster is not None:
            return set()
        name = f"{_run_on_worker.__module__}:{_run_on_worker.__name__}"
        answers = self.client.run(pkgutil.resolve_name, name, on_error="return")
        broken = {a: e for a, e in answers.items() if isinstance(e, Exception)}
        for address, error in broken.items():
            host = address.rpartition("/")[2].rpartition(":")[0]
            reason = (
                "it has no mmder that can do this run "
                f"({' '.join(str(error).split())}); install the same version there"
            )
            self.retire(address, host, reason, warn)
        return set(broken)

    def retire(
        self, address: str, host: str, reason: str, warn: Callable[[str], None]
    ) -> None:
        """Close a worker that cannot do the jobs of this run.

        Raises:
            StoreIncompleteError: If it was the last one.
        """
        warn(f"worker {address} on {host} does no shard and is retired: {reason}")
        try:
            self.client.retire_workers([address], close_workers=True)
            left = self.client.scheduler_info(n_workers=0)["n_workers"]
        except OSError as error:
            raise StoreIncompleteError(self._lost_message()) from error
        if left == 0:
            msg = (
                "no worker is left that can prepare this store. The last one, on "
                f"{host}: {reason}. Then rerun the same command; finished shards are "
                "kept"
            )
            raise StoreIncompleteError(msg)

    def _next(self, ended: "Queue[Future[None]]") -> "Future[None]":
        """Wait for the next job that ends.

        Raises:
            StoreIncompleteError: If there was no worker for NO_WORKER_TIMEOUT_S, or the
                scheduler is lost.
        """
        last_seen_s = time.monotonic()
        while time.monotonic() - last_seen_s < NO_WORKER_TIMEOUT_S:
            try:
                return ended.get(timeout=NO_WORKER_TIMEOUT_S / 20)
            except Empty:
                # Ask for the number, not the list of workers: the client itself
                # sometimes asks for an empty list, and may replace our answer by it.
                try:
                    if self.client.scheduler_info(n_workers=0)["n_workers"] > 0:
                        last_seen_s = time.monotonic()
                except OSError as error:
                    raise StoreIncompleteError(self._lost_message()) from error
        msg = (
            f"no worker is left, and none started within {NO_WORKER_TIMEOUT_S:.0f} s. "
            "Rerun the same command to resume; finished shards are kept"
        )
        raise StoreIncompleteError(msg)

    def _lost_message(self) -> str:
        return (
            f"the connection to the Dask scheduler {self.scheduler} was lost. Finished "
            "shards are kept: start the scheduler and its workers again, and rerun the "
            "same command to resume"
        )


def _run_on_worker(call: bytes) -> None:
    """Run a job on this worker, and send its statuses to the program.

    Args:
        call: The pickled function and its job.

    Raises:
        WorkerDeclinedError: If this worker cannot do jobs of this run.
    """
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

    host = socket.gethostname()
    try:
        function, job = pickle.loads(call)
    except (ImportError, AttributeError, TypeError) as error:
        reason = f"it has another mmder ({error}); install the same version there"
        raise WorkerDeclinedError(worker.address, host, reason) from error
    try:
        function(job, report)
    except UnfitWorkerError as error:
        raise WorkerDeclinedError(worker.address, host, str(error)) from error
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
        scheduler: Address or scheduler file of a running scheduler; None starts local
            workers.

    Raises:
        SettingsError: If no scheduler answers at the address, or it has no workers.
        StoreIncompleteError: If no worker has mmder.
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
        **_scratch_folder(),
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
                    preload=[worker_signals.__name__],
                )
            )
            client = stack.enter_context(Client(local))
        else:
            client = stack.enter_context(_connect(scheduler))
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            if workers == 0:
                msg = f"scheduler {scheduler!r}: it has no workers; start some first"
                raise SettingsError(msg)
        cluster = Cluster(
            client=client,
            workers=workers,
            dashboard=client.dashboard_link,
            scheduler=scheduler or "of this program",
        )
        yield cluster


def _scratch_folder() -> dict[str, str]:
    """Return the setting for Dask's files: the folder that a kill does not leave."""
    folder = temp_folder.path()
    return {} if folder is None else {"temporary-directory": str(folder)}


def _connect(scheduler: str) -> Client:
    """Connect to a running scheduler.

    Args:
        scheduler: Its address (tcp:// or tls://), or the path of its scheduler file.

    Raises:
        SettingsError: If none answers.
    """
    try:
        if "://" in scheduler or not Path(scheduler).is_file():
            return Client(scheduler, timeout="10s")
        return Client(scheduler_file=scheduler, timeout="10s")
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        why = " ".join(str(error).split())
        if scheduler.startswith("tls://") and isinstance(error, TypeError):
            why = (
                f"{why}; set the certificates in DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
                "..__TLS__CLIENT__CERT and ..__TLS__CLIENT__KEY"
            )
        msg = (
            f"scheduler {scheduler!r}: no answer ({why}). Expected the address of a "
            "running Dask scheduler, such as tcp://10.0.0.1:8786 or "
            "tls://10.0.0.1:8786, or its scheduler file"
        )
        raise SettingsError(msg) from error
