"""A corpus to a sealed store: plan, run, seal. The only file that knows the order."""

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from rich.console import Console

from mmder_prep.corpora.manifest import RATED, Manifest
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.content_hash import unchanged
from mmder_prep.pipeline.progress import ClipProgress
from mmder_prep.pipeline.shard import ShardSummary, make_shard, summarize_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_store import ledger
from mmder_store.errors import SettingsError, StoreError, StoreIncompleteError
from mmder_store.schema import SHARD_CLIPS, STATUSES, arrays_of, shape_of
from mmder_store.settings import PrepSettings
from mmder_store.store import Store, create, is_store, seal
from mmder_store.store_spec import StoreSpec

if TYPE_CHECKING:
    from mmder_prep.pipeline.cluster import Cluster

MIN_SIZE_FRACTION = 0.4
"""Share of a store's plain size below which compression has not been seen to go."""
MANIFEST_COLUMNS = ("clip_id", "speaker", "emotion", *RATED, "note")
"""Columns of the store that the manifest tells."""
MADE_BY = (
    "mmder",
    "av",
    "facenet-pytorch",
    "librosa",
    "numpy",
    "opencv-python-headless",
    "torch",
    "zarr",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How to run; none of it changes a byte of the store."""

    workers: int
    scheduler: str | None = None
    device: str = "cpu"
    overwrite: bool = False
    shard_clips: int = SHARD_CLIPS


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSummary:
    """What a run did."""

    statuses: Mapping[str, int]
    """Clips of each status in the store."""
    shards: int
    kept: int
    """Shards that were there already."""
    sha256: str

    @property
    def unusable(self) -> int:
        """Count the clips that lack picture or sound, or failed."""
        return sum(
            self.statuses.get(s, 0) for s in STATUSES if s not in ("ok", "no_face")
        )


def build(
    manifest: Manifest,
    out: Path,
    settings: PrepSettings,
    options: BuildOptions,
    console: Console,
) -> BuildSummary:
    """Make the store, or what of it is not there yet, and seal it.

    Raises:
        MmderError: If something stops the run as a whole; what is done stays done.
    """
    clips = manifest.clips()
    spec = StoreSpec(
        corpus=manifest.corpus,
        clips=len(clips),
        settings=settings,
        label_sets=manifest.label_sets,
        protocols=manifest.protocols,
        manifest_sha256=manifest.sha256,
        shard_clips=options.shard_clips,
    )
    check_device(options.device)
    if options.overwrite:
        remove(out)
    check_room(out, spec)
    jobs = shard_jobs(
        clips,
        store=str(out.absolute()),
        shard_clips=spec.shard_clips,
        settings=settings,
        device=options.device,
        run=uuid4().hex,
    )
    rows = [
        {column: getattr(row, column) for column in MANIFEST_COLUMNS}
        for row in manifest.rows
    ]
    with ledger.write_lock(out):
        records = {job.shard: unchanged(job) for job in jobs}
        sha256 = _sealed_as(out, spec) if all(records.values()) else None
        shards = [
            summarize_shard(record, kept=True) for record in records.values() if record
        ]
        if sha256 is None:
            create(out, spec)
            todo = [job for job in jobs if records[job.shard] is None]
            shards += _run(todo, options, console) if todo else []
            sha256 = seal(out, rows, {name: version(name) for name in MADE_BY})
    statuses = {s: sum(d.statuses.get(s, 0) for d in shards) for s in STATUSES}
    return BuildSummary(
        statuses={s: n for s, n in statuses.items() if n},
        shards=len(jobs),
        kept=sum(d.kept for d in shards),
        sha256=sha256,
    )


def _sealed_as(out: Path, spec: StoreSpec) -> str | None:
    """Give the hash of a store that is sealed and about the very same, else None."""
    try:
        store = Store(out)
    except StoreError:
        return None
    return store.sha256 if store.spec == spec else None


def _run(
    jobs: list[ShardJob], options: BuildOptions, console: Console
) -> list[ShardSummary]:
    """Do the jobs, here or on a cluster."""
    if options.scheduler is None:
        worker_template.start(worker_template.required_modules(jobs[0].settings))
    # Dask takes a second to load: not where there is nothing to do.
    from mmder_prep.pipeline.cluster import open_cluster

    total = sum(len(job.clips) for job in jobs)
    workers = min(options.workers, len(jobs))
    with open_cluster(workers=workers, scheduler=options.scheduler) as cluster:
        console.print(
            f"{total} clips in {len(jobs)} shards on {cluster.workers} workers; "
            f"dashboard {cluster.dashboard}",
            highlight=False,
        )
        with ClipProgress(total, console) as progress:
            return _collect(cluster, jobs, progress)


def _collect(
    cluster: "Cluster", jobs: list[ShardJob], progress: ClipProgress
) -> list[ShardSummary]:
    made: list[ShardSummary] = []
    lost: list[int] = []
    for job, alive in cluster.run_jobs(make_shard, jobs, tick=progress.tick):
        record = ledger.read(Path(job.store), job.shard)
        if alive and record is not None:
            made.append(summarize_shard(record, kept=False))
        else:
            lost.append(job.shard)
    if lost:
        msg = (
            f"shards {', '.join(map(str, sorted(lost)))}: their worker died again and "
            "again, most often for want of memory. Run the same command with fewer "
            "--workers; what is done is kept"
        )
        raise StoreIncompleteError(msg)
    return made


def check_device(device: str) -> None:
    """Refuse a device that is not there, before the first worker starts.

    Raises:
        SettingsError: With what there is.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        msg = f"--device {device}: not usable here ({first}); 'cpu' always is"
        raise SettingsError(msg) from error


def check_room(out: Path, spec: StoreSpec) -> None:
    """Refuse to begin where the disk cannot hold what is still to be written.

    Raises:
        StoreError: With what is needed and what is free.
    """
    plain = sum(
        np.dtype(a.dtype).itemsize * math.prod(shape_of(a, spec.settings))
        for a in arrays_of(spec.settings)
    )
    there = sum(ledger.exists(out, shard) for shard in range(spec.shards))
    left = max(0, spec.clips - there * spec.shard_clips)
    need = int(left * plain * MIN_SIZE_FRACTION)
    folder = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if free < need:
        msg = (
            f"store {out}: {free / 1e9:.1f} GB are free, at least {need / 1e9:.1f} GB "
            f"are needed for {left} clips; choose another --out or free some"
        )
        raise StoreError(msg)


def remove(out: Path) -> None:
    """Remove a store, and nothing that is not one.

    Raises:
        StoreError: If the folder holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    if not is_store(out):
        msg = f"--overwrite: {out} is no store of mmder-prep; remove it by hand"
        raise StoreError(msg)
    aside = out.with_name(f".{out.name}.removed-{os.getpid()}")
    with ledger.write_lock(out):
        # Renamed first: a removal cut short leaves no half store under the name.
        out.rename(aside)
    shutil.rmtree(aside)
