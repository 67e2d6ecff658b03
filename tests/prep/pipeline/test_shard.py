"""A shard is prepared once, and a clip that crashes its worker is skipped."""

import multiprocessing
from pathlib import Path
from typing import Any

from crashing_jobs import crash_at
from mmder_prep.corpora.manifest import read_manifest
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_prep.pipeline.worker_template import start_method
from mmder_store import PrepSettings, StoreSpec, ledger
from mmder_store.writer import create

SETTINGS = PrepSettings(modality="audio")


def make_job(corpus: Path, out: Path) -> ShardJob:
    """Create a store and return the job of its first shard, of four clips."""
    manifest = read_manifest(corpus / "m.csv", root=None)
    spec = StoreSpec(
        corpus="m",
        clips=len(manifest.rows),
        settings=SETTINGS,
        label_sets=manifest.label_sets,
        protocols=(),
        manifest_sha256=manifest.sha256,
        shard_clips=4,
    )
    create(out, spec)
    jobs = shard_jobs(
        manifest.clips(),
        store=str(out),
        shard_clips=4,
        settings=SETTINGS,
        device="cpu",
        run="this run",
    )
    return jobs[0]


def test_a_shard_is_prepared_once(corpus: Path, tmp_path: Path) -> None:
    """The second call returns the record and decodes nothing."""
    job = make_job(corpus, tmp_path / "s")
    statuses: list[str] = []
    first = make_shard(job, statuses.append)
    assert statuses == ["ok", "ok", "ok", "failed"]
    assert not first.kept
    second = make_shard(job, statuses.append)
    assert statuses == 2 * ["ok", "ok", "ok", "failed"]
    assert second.kept
    assert second.statuses == first.statuses


def test_a_clip_that_crashes_its_worker_twice_is_skipped(
    corpus: Path, tmp_path: Path, worker_template: None
) -> None:
    """Two processes crash in the clip; the third marks it as failed and continues."""
    job = make_job(corpus, tmp_path / "s")
    context: Any = multiprocessing.get_context(start_method())
    for _ in range(2):
        process = context.Process(target=crash_at, args=(job, "clip1"))
        process.start()
        process.join(120)
        assert process.exitcode == 9
        assert ledger.read(tmp_path / "s", 0) is None
    summary = make_shard(job, lambda _: None)
    assert summary.statuses == {"ok": 2, "failed": 2}
    record = ledger.read(tmp_path / "s", 0)
    assert record is not None
    assert record.clips[1].reason == "its decoder ended the process 2 times"
