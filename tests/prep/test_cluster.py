"""Jobs come back whatever happens to the workers that do them."""

from pathlib import Path

from distributed import LocalCluster

from mmder_prep.cluster import open_cluster
from mortal import Mortal, live_or_die


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
    with open_cluster(workers=1, scheduler=None) as cluster:
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        found = dict(cluster.run(live_or_die, jobs, tick=ticks.append))
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
                done = dict(joined.run(live_or_die, jobs, tick=lambda _: None))
            assert done == dict.fromkeys(jobs, True)
    assert [job.attempts() for job in jobs] == [2, 2, 2]
