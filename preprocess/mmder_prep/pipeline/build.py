"""Build of a store: plan the shards, prepare them on workers, seal the store."""

import glob
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
from mmder_store.store import Store
from mmder_store.store_spec import StoreSpec
from mmder_store.writer import check_reusable, create, missing_files, seal
from mmder_store.zarr_group import is_store

if TYPE_CHECKING:
    from mmder_prep.pipeline.cluster import Cluster

MIN_SIZE_FRACTION = 0.4
"""Fraction of its uncompressed size that a store has at least, as measured."""
MANIFEST_COLUMNS = ("clip_id", "speaker", "emotion", *RATED, "note")
"""Columns of the store that come from the manifest."""
RECORDED_PACKAGES = (
    "mmder",
    "av",
    "facenet-pytorch",
    "librosa",
    "numpy",
    "opencv-python-headless",
    "torch",
    "zarr",
)
"""Packages whose versions are recorded in the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """Options of a build that do not change the arrays of the store."""

    workers: int
    """Number of worker processes."""
    scheduler: str | None = None
    """Address of a running Dask scheduler; None starts workers on this machine."""
    device: str = "cpu"
    """Torch device of face detection, or `auto`."""
    overwrite: bool = False
    """True to remove an existing store first."""
    shard_clips: int = SHARD_CLIPS
    """Number of clips per shard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSummary:
    """Result of a build."""

    statuses: Mapping[str, int]
    """Number of clips per status in the store."""
    shards: int
    """Number of shards in the store."""
    kept: int
    """Number of shards that were up to date."""
    sha256: str
    """Hash of the store."""

    @property
    def unusable(self) -> int:
        """Number of clips that lack video or audio, or failed."""
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
    """Build and seal a store. Shards that are up to date are kept.

    Raises:
        MmderError: If the run as a whole fails. Finished shards are kept.
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
    device = resolve_device(options.device)
    if options.overwrite:
        remove_store(out)
    check_disk_space(out, spec)
    jobs = shard_jobs(
        clips,
        store=str(out.absolute()),
        shard_clips=spec.shard_clips,
        settings=settings,
        device=device,
        run=uuid4().hex,
    )
    rows = [
        {column: getattr(row, column) for column in MANIFEST_COLUMNS}
        for row in manifest.rows
    ]
    with ledger.write_lock(out):
        check_reusable(out, spec)
        remove_leftovers(out)
        _report_damage(out, spec, console)
        records = {job.shard: unchanged(job) for job in jobs}
        sha256 = _hash_if_sealed(out, spec) if all(records.values()) else None
        if sha256 is None:
            create(out, spec)
        # `create` drops the records of shards that do not fit repaired metadata.
        records = {s: r if ledger.exists(out, s) else None for s, r in records.items()}
        shards = [summarize_shard(r, kept=True) for r in records.values() if r]
        if sha256 is None:
            todo = [job for job in jobs if records[job.shard] is None]
            shards += _run(todo, options, console) if todo else []
            versions = {name: version(name) for name in RECORDED_PACKAGES}
            sha256 = seal(out, rows, versions)
    statuses = {s: sum(d.statuses.get(s, 0) for d in shards) for s in STATUSES}
    return BuildSummary(
        statuses={s: n for s, n in statuses.items() if n},
        shards=len(jobs),
        kept=sum(d.kept for d in shards),
        sha256=sha256,
    )


def _report_damage(out: Path, spec: StoreSpec, console: Console) -> None:
    """Drop the records of shards that are damaged, as far as this takes little time.

    A record that cannot be read, and a file that is missing or has another size, are
    found. Shards are not read; `mmder-prep verify` does that.
    """
    damaged = ledger.drop_damaged(out, spec.shards)
    for shard in range(spec.shards):
        record = ledger.read(out, shard)
        if record is not None and missing_files(out, record, spec):
            ledger.drop(out, shard)
            damaged.append(shard)
    if damaged:
        numbers = ", ".join(map(str, sorted(damaged)))
        console.print(
            f"shards {numbers} are damaged or incomplete, and are prepared again",
            highlight=False,
            markup=False,
        )


def _hash_if_sealed(out: Path, spec: StoreSpec) -> str | None:
    """Return the hash of a sealed store with the same specification, else None."""
    try:
        store = Store(out)
    except StoreError:
        return None
    return store.sha256 if store.spec == spec else None


def _run(
    jobs: list[ShardJob], options: BuildOptions, console: Console
) -> list[ShardSummary]:
    """Run the jobs on local workers or on a cluster."""
    if options.scheduler is None:
        worker_template.start(worker_template.required_modules(jobs[0].settings))
    # Importing Dask takes a second; a run without jobs does not need it.
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
    """Return the summaries of the jobs.

    Raises:
        StoreIncompleteError: If workers crashed repeatedly in a shard.
    """
    summaries: list[ShardSummary] = []
    lost: list[int] = []
    for job, alive in cluster.run_jobs(make_shard, jobs, tick=progress.tick):
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


def resolve_device(name: str) -> str:
    """Return the Torch device of face detection; `auto` is a GPU if there is one.

    It is checked before the first worker starts.

    Raises:
        SettingsError: If the device is not usable.
    """
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        msg = f"--device {name}: not usable here ({reason}); 'cpu' always is"
        raise SettingsError(msg) from error
    return name


def check_disk_space(out: Path, spec: StoreSpec) -> None:
    """Check that the disk has space for the shards that are not written yet.

    Raises:
        StoreError: If it has not, with the free and the required space.
    """
    clip_bytes = sum(
        np.dtype(a.dtype).itemsize * math.prod(shape_of(a, spec.settings))
        for a in arrays_of(spec.settings)
    )
    written = sum(ledger.exists(out, shard) for shard in range(spec.shards))
    clips = max(0, spec.clips - written * spec.shard_clips)
    required = int(clips * clip_bytes * MIN_SIZE_FRACTION)
    folder = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if free < required:
        msg = (
            f"store {out}: {_size(free)} of disk space are free, {clips} clips need "
            f"at least {_size(required)}; free some, or choose another --out"
        )
        raise StoreError(msg)


def _size(count: int) -> str:
    """Return a number of bytes as text, in MB below one GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def remove_leftovers(out: Path) -> None:
    """Remove what a killed `remove_store` has left."""
    for folder in out.parent.glob(f".{glob.escape(out.name)}.removed-*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_store(out: Path) -> None:
    """Remove a store; a folder that does not exist or is empty is left as it is.

    Raises:
        StoreError: If the folder holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    if not is_store(out):
        msg = f"--overwrite: {out} is not a store of mmder-prep; remove it by hand"
        raise StoreError(msg)
    removed = out.with_name(f".{out.name}.removed-{os.getpid()}")
    with ledger.write_lock(out):
        # Renamed first: an interrupted removal leaves no partial store at `out`.
        out.rename(removed)
    shutil.rmtree(removed)
