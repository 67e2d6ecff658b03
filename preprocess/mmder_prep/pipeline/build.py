"""Build of a store: plan the shards, prepare them on workers, seal the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console

from mmder_prep.corpora.manifest import RATED, Manifest
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.content_hash import unchanged
from mmder_prep.pipeline.fingerprint import (
    PACKAGES,
    compute_fingerprint,
    device_kind,
)
from mmder_prep.pipeline.progress import ClipProgress
from mmder_prep.pipeline.shard import ShardSummary, make_shard, summarize_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_prep.pipeline.shard_software import drop_other_software, refuse_other_device
from mmder_prep.pipeline.store_changes import (
    changed_clips,
    compare_clips,
    name_some,
    recorded_clips,
    refuse_loss,
)
from mmder_prep.pipeline.store_folder import (
    check_disk_space,
    remove_leftovers,
    remove_store,
)
from mmder_prep.pipeline.worker_check import require
from mmder_store import ledger
from mmder_store.errors import SettingsError, StoreError, StoreIncompleteError
from mmder_store.ledger import ClipRecord
from mmder_store.schema import SHARD_CLIPS, STATUSES
from mmder_store.settings import PrepSettings
from mmder_store.store import Store
from mmder_store.store_spec import StoreSpec
from mmder_store.writer import check_reusable, create, missing_files, seal

if TYPE_CHECKING:
    from mmder_prep.pipeline.cluster import Cluster

MANIFEST_COLUMNS = ("clip_id", "speaker", "emotion", *RATED, "note")
"""Columns of the store that come from the manifest."""
RECORDED_PACKAGES = ("mmder", *PACKAGES)
"""Packages whose versions are recorded in the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """Options of a build that do not change the arrays of the store."""

    workers: int
    """Number of worker processes."""
    scheduler: str | None = None
    """Address or file of a running Dask scheduler; None starts workers here."""
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
        StoreError: If prepared clips of an existing store would be lost.
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
    if out.is_dir():
        check_reusable(out, spec)
    check_disk_space(out, spec)
    kind = device_kind(device)
    fingerprint = compute_fingerprint(kind)
    run = uuid4().hex
    jobs = shard_jobs(
        clips,
        store=str(out.absolute()),
        shard_clips=spec.shard_clips,
        settings=settings,
        device=device,
        run=run,
        requirements=require(clips, manifest.root, fingerprint),
    )
    rows = [
        {column: getattr(row, column) for column in MANIFEST_COLUMNS}
        for row in manifest.rows
    ]
    with ledger.write_lock(out):
        check_reusable(out, spec)
        before = recorded_clips(out)
        changes = compare_clips(before, clips)
        refuse_loss(out, changes)
        remove_leftovers(out)
        if before and changes.added:
            console.print(
                f"{changes.added} clips are added to the {len(before)} of {out}",
                highlight=False,
                markup=False,
            )
        _report_damage(out, spec, console)
        records = {job.shard: unchanged(job) for job in jobs}
        sha256 = _hash_if_sealed(out, spec) if all(records.values()) else None
        if sha256 is None:
            refuse_other_device(out, records, kind)
            drop_other_software(out, records, fingerprint, console)
            create(out, spec)
        # `create` drops the records of shards that do not fit repaired metadata.
        records = {s: r if ledger.exists(out, s) else None for s, r in records.items()}
        shards = [summarize_shard(r, kept=True) for r in records.values() if r]
        if sha256 is None:
            todo = [job for job in jobs if records[job.shard] is None]
            if todo:
                with ledger.announce_run(out, run):
                    shards += _run(todo, options, console)
            versions = {name: version(name) for name in RECORDED_PACKAGES}
            sha256 = seal(out, rows, versions)
            _report_changed(before, recorded_clips(out), console)
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


def _report_changed(
    before: Mapping[str, ClipRecord], after: Mapping[str, ClipRecord], console: Console
) -> None:
    """Print how many clips were prepared again with other media or another segment."""
    changed = list(changed_clips(before, after))
    if changed:
        console.print(
            f"{len(changed)} clips were prepared again, because their media, segment "
            f"or crop changed: {name_some(changed)}",
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
        StoreIncompleteError: If workers crashed repeatedly in a shard, or no worker is
            left.
    """
    summaries: list[ShardSummary] = []
    lost: list[int] = []
    ended = cluster.run_jobs(make_shard, jobs, tick=progress.tick, warn=progress.warn)
    for job, alive in ended:
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
