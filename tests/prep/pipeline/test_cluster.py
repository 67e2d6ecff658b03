"""Jobs are done or reported, whatever happens to their workers."""

from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from crashing_jobs import CrashingJob, run_or_crash
from mmder_prep.pipeline import cluster as cluster_module
from mmder_prep.pipeline.cluster import open_cluster
from mmder_store.errors import StoreIncompleteError


def test_a_job_survives_crashes_of_its_workers_up_to_a_limit(
    tmp_path: Path, worker_template: None
) -> None:
    """Two crashes are survived, endless crashes are reported, other jobs are done."""
    jobs = [
        CrashingJob(shard=0, crashes=0, folder=str(tmp_path)),
        CrashingJob(shard=1, crashes=2, folder=str(tmp_path)),
        CrashingJob(shard=2, crashes=99, folder=str(tmp_path)),
    ]
    ticks: list[str] = []
    # With this time, Dask would abandon a worker that is not back at once, if
    # `open_cluster` did not set a longer one.
    impatient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"})
    with impatient, open_cluster(workers=1, scheduler=None) as cluster:
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        results = dict(
            cluster.run_jobs(run_or_crash, jobs, tick=ticks.append, warn=pytest.fail)
        )
    assert results == {jobs[0]: True, jobs[1]: True, jobs[2]: False}
    assert jobs[1].attempts() >= 3
    assert set(ticks) == {"ok"}


def test_a_running_cluster_is_used_and_left_running(tmp_path: Path) -> None:
    """Its workers do the jobs, and are available to the next program."""
    jobs = [CrashingJob(shard=n, crashes=0, folder=str(tmp_path)) for n in range(3)]
    local = LocalCluster(n_workers=2, threads_per_worker=1, processes=False)
    with local as running:
        for _ in range(2):
            address = running.scheduler_address
            with open_cluster(workers=9, scheduler=address) as cluster:
                assert cluster.workers == 2
                results = dict(
                    cluster.run_jobs(
                        run_or_crash, jobs, tick=lambda _: None, warn=pytest.fail
                    )
                )
            assert results == dict.fromkeys(jobs, True)
    assert [job.attempts() for job in jobs] == [2, 2, 2]


def test_a_run_without_workers_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all workers are gone and none starts, the run ends with an error."""
    monkeypatch.setattr(cluster_module, "NO_WORKER_TIMEOUT_S", 1.0)
    job = CrashingJob(shard=0, crashes=0, folder=str(tmp_path))
    local = LocalCluster(n_workers=1, threads_per_worker=1, processes=False)
    with (
        local as running,
        open_cluster(workers=1, scheduler=running.scheduler_address) as cluster,
    ):
        cluster.client.retire_workers()
        with pytest.raises(StoreIncompleteError, match=r"no worker is left.* resume"):
            list(
                cluster.run_jobs(
                    run_or_crash, [job], tick=lambda _: None, warn=pytest.fail
                )
            )
    assert job.attempts() == 0
