"""Plan of a build: create or reopen the store, and find the shards to prepare."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from mmder_prep.corpora.manifest import RATED, Manifest, ManifestRow
from mmder_prep.pipeline.content_hash import unchanged
from mmder_prep.pipeline.fingerprint import compute_fingerprint, device_kind
from mmder_prep.pipeline.shard import ShardSummary, summarize_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_prep.pipeline.shard_software import drop_other_software, refuse_other_device
from mmder_prep.pipeline.store_changes import (
    compare_clips,
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
from mmder_store.errors import SettingsError, StoreError
from mmder_store.ledger import ClipRecord
from mmder_store.schema import SHARD_CLIPS
from mmder_store.settings import PrepSettings
from mmder_store.store import Store
from mmder_store.store_spec import StoreSpec
from mmder_store.writer import check_reusable, create, missing_files
from mmder_store.zarr_group import open_group, read_spec

MANIFEST_COLUMNS = ("clip_id", "speaker", "emotion", *RATED, "note")
"""Columns of the store that come from the manifest."""


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
class PlannedBuild:
    """A store that is ready for the preparation of its shards."""

    jobs: tuple[ShardJob, ...]
    """All shards."""
    todo: tuple[ShardJob, ...]
    """Shards that are not up to date."""
    kept: tuple[ShardSummary, ...]
    """Shards that are up to date."""
    rows: tuple[Mapping[str, str], ...]
    """Columns of the store that come from the manifest."""
    before: Mapping[str, ClipRecord]
    """Clips that were prepared before, by id."""
    run: str
    """Id of the run."""
    sha256: str | None
    """Hash of the store if it is sealed and up to date."""


@contextmanager
def plan_build(
    manifest: Manifest,
    out: Path,
    settings: PrepSettings,
    options: BuildOptions,
    console: Console,
) -> Iterator[PlannedBuild]:
    """Create or reopen a store, and find the shards to prepare. The store is locked.

    Raises:
        StoreError: If prepared clips of an existing store would be lost, or if another
            process writes to the store.
        MmderError: If the settings cannot be used here.
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
    with ledger.write_lock(out):
        check_reusable(out, spec)
        before = recorded_clips(out)
        changes = compare_clips(before, clips)
        refuse_loss(out, changes)
        remove_leftovers(out)
        earlier = _planned_clips(out)
        if changes.added and earlier and earlier < spec.clips:
            console.print(
                f"{spec.clips - earlier} clips are added to the {earlier} of {out}",
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
        yield PlannedBuild(
            jobs=tuple(jobs),
            todo=tuple(job for job in jobs if records[job.shard] is None),
            kept=tuple(summarize_shard(r, kept=True) for r in records.values() if r),
            rows=tuple(manifest_columns(row) for row in manifest.rows),
            before=before,
            run=run,
            sha256=sha256,
        )


def manifest_columns(row: ManifestRow) -> dict[str, str]:
    """Return the columns of the store that come from the manifest."""
    return {column: getattr(row, column) for column in MANIFEST_COLUMNS}


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


def _planned_clips(out: Path) -> int:
    """Return the number of clips that the store was created for; 0 if unknown."""
    try:
        return read_spec(out, open_group(out, "r")).clips
    except StoreError:
        return 0


def _hash_if_sealed(out: Path, spec: StoreSpec) -> str | None:
    """Return the hash of a sealed store with the same specification, else None."""
    try:
        store = Store(out)
    except StoreError:
        return None
    return store.sha256 if store.spec == spec else None


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
