"""Jobs come back whatever happens to the workers that do them."""

from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from crashing_jobs import Mortal, live_or_die
from mmder_prep.pipeline import cluster as clusters
from mmder_prep.pipeline.cluster import open_cluster
from mmder_store.errors import StoreIncompleteError


def test_a_job_outlives_its_workers_and_a_deadly_one_is_given_up(
    tmp_path: Path,
) -> None:
    """Two deaths are survived, endless ones reported, the other jobs are done."""
    jobs = [
        Mortal(shard=0, deaths=0, folder=str(tmp_path)),
        Mortal(shard=1, deaths=2, folder=str(tmp_path)),
        Mortal(shard=2, deaths=99, folder=str(tmp_path)),
    ]
    ticks: list[str] = []
    # Dask would give a worker up that is not back so soon; none of ours may be.
    impatient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"})
    with impatient, open_cluster(workers=1, scheduler=None) as cluster:
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        found = dict(cluster.run_jobs(live_or_die, jobs, tick=ticks.append))
    assert found == {jobs[0]: True, jobs[1]: True, jobs[2]: False}
    assert jobs[1].attempts() >= 3
    assert set(ticks) == {"ok"}


def test_a_running_cluster_is_joined_and_left_running(tmp_path: Path) -> None:
    """Its workers do the jobs, and are there for the next who joins."""
    jobs = [Mortal(shard=n, deaths=0, folder=str(tmp_path)) for n in range(3)]
    local = LocalCluster(n_workers=2, threads_per_worker=1, processes=False)
    with local as running:
        for _ in range(2):
            with open_cluster(workers=9, scheduler=running.scheduler_address) as joined:
                assert joined.workers == 2
                done = dict(joined.run_jobs(live_or_die, jobs, tick=lambda _: None))
            assert done == dict.fromkeys(jobs, True)
    assert [job.attempts() for job in jobs] == [2, 2, 2]


def test_a_run_without_workers_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all are gone and none follows, it says so instead of waiting for ever."""
    monkeypatch.setattr(clusters, "LONELY_S", 1.0)
    job = Mortal(shard=0, deaths=0, folder=str(tmp_path))
    local = LocalCluster(n_workers=1, threads_per_worker=1, processes=False)
    with (
        local as running,
        open_cluster(workers=1, scheduler=running.scheduler_address) as joined,
    ):
        joined.client.retire_workers()
        with pytest.raises(StoreIncompleteError, match=r"no worker is left.* goes on"):
            list(joined.run_jobs(live_or_die, [job], tick=lambda _: None))
    assert job.attempts() == 0
