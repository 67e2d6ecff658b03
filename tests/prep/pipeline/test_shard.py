"""A shard is prepared once, and a clip that crashes its worker is skipped."""

import errno
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crashing_jobs import crash_at
from mmder_prep.corpora.manifest_file import read_manifest
from mmder_prep.media.regular_file import open_regular
from mmder_prep.pipeline.content_hash import file_stamp, unchanged
from mmder_prep.pipeline.fingerprint import compute_fingerprint
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_prep.pipeline.worker_check import UnfitWorkerError, require
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


@pytest.mark.timeout(60)
def test_files_that_cannot_be_read_fail_one_clip_each(
    corpus: Path, tmp_path: Path
) -> None:
    """A name that is too long, a named pipe, and a read error of the kernel."""
    shutil.copy(corpus / "clip0.mp4", tmp_path / "good.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "broken.mp4").symlink_to("/proc/self/mem")
    names = ("good", "pipe", "broken" if Path("/proc/self/mem").exists() else "gone")
    rows = [f"{name},{name}.mp4,sad,x" for name in (*names, "x" * 300)]
    (tmp_path / "m.csv").write_text("\n".join(("clip_id,path,emotion,speaker", *rows)))
    job = make_job(tmp_path, tmp_path / "s")
    make_shard(job, lambda _: None)
    record = ledger.read(tmp_path / "s", 0)
    assert record is not None
    assert [clip.status for clip in record.clips] == ["ok", *3 * ["failed"]]
    reasons = [clip.reason for clip in record.clips[1:]]
    assert reasons[0] == "cannot be read (a named pipe, expected a regular file)"
    assert reasons[1].startswith("cannot be read (")
    assert reasons[2] == "cannot be read (File name too long)"


def test_a_read_error_while_decoding_is_tried_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes were hashed before, so only the failed clip shows the error."""
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    job = make_job(folder, tmp_path / "s")
    make_shard(job, lambda _: None)
    os.utime(folder / "clip1.mp4", (1, 1))  # so that the shard is prepared again
    (folder / "clip1.mp4").write_bytes((folder / "clip2.mp4").read_bytes())

    def broken(path: Path) -> object:
        if path.name == "clip0.mp4":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_regular(path)

    with monkeypatch.context() as patch:
        patch.setattr("mmder_prep.media.source.open_regular", broken)
        assert make_shard(job, lambda _: None).statuses == {"ok": 2, "failed": 2}
    record = ledger.read(tmp_path / "s", 0)
    assert record is not None
    assert record.clips[0].reason == "cannot be read (Input/output error)"
    assert record.clips[0].source_stamp == ""
    assert make_shard(job, lambda _: None).statuses == {"ok": 3, "failed": 1}


def test_a_clip_that_could_not_be_decoded_is_tried_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file could be hashed before and after, so its stamp shows no change."""
    job = make_job(corpus, tmp_path / "s")

    def broken(path: Path) -> object:
        if path.name == "clip0.mp4":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_regular(path)

    with monkeypatch.context() as patch:
        patch.setattr("mmder_prep.media.container.open_regular", broken)
        assert make_shard(job, lambda _: None).statuses == {"ok": 2, "failed": 2}
    record = ledger.read(tmp_path / "s", 0)
    assert record is not None
    assert record.clips[0].reason == "cannot be read (Input/output error)"
    assert record.clips[0].source_stamp == file_stamp(job.clips[0])
    assert unchanged(job) is None
    assert make_shard(job, lambda _: None).statuses == {"ok": 3, "failed": 1}
    assert unchanged(job) is not None


def test_media_that_vanish_fail_no_clip(corpus: Path, tmp_path: Path) -> None:
    """A mount that is lost is the worker's failure. The shard is not recorded."""
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    job = make_job(folder, tmp_path / "s")
    required = require(job.clips, folder, compute_fingerprint())
    job = replace(job, requirements=required)

    def lose_mount(_status: str) -> None:
        if folder.exists():
            folder.rename(tmp_path / "away")

    with ledger.announce_run(tmp_path / "s", job.run):
        with pytest.raises(UnfitWorkerError, match="does not see the media folder"):
            make_shard(job, lose_mount)
        assert ledger.read(tmp_path / "s", 0) is None
        (tmp_path / "away").rename(folder)
        summary = make_shard(job, lambda _: None)
    assert summary.statuses == {"ok": 3, "failed": 1}
