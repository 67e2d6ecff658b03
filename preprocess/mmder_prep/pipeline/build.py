"""Build of a store: plan the shards, prepare them on workers, seal the store."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from mmder_prep.corpora.manifest import Manifest
from mmder_prep.pipeline.fingerprint import PACKAGES
from mmder_prep.pipeline.plan import (
    BuildOptions,
    PlannedBuild,
    manifest_columns,
    plan_build,
)
from mmder_prep.pipeline.plan_files import (
    StoredPlan,
    read_plan,
    read_rows,
    remove_plan,
    stored_jobs,
    write_plan,
)
from mmder_prep.pipeline.run_shards import run_shards
from mmder_prep.pipeline.shard import ShardSummary, summarize_shard
from mmder_prep.pipeline.store_changes import changed_clips, name_some, recorded_clips
from mmder_store import ledger
from mmder_store.errors import StoreError
from mmder_store.ledger import ClipRecord
from mmder_store.schema import STATUSES
from mmder_store.settings import PrepSettings
from mmder_store.store import Store
from mmder_store.store_spec import StoreSpec
from mmder_store.writer import seal
from mmder_store.zarr_group import open_group, read_spec

RECORDED_PACKAGES = ("mmder", *PACKAGES)
"""Packages whose versions are recorded in the store."""


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
    with plan_build(manifest, out, settings, options, console) as planned:
        shards = list(planned.kept)
        sha256 = planned.sha256
        if sha256 is None:
            if planned.todo:
                with ledger.announce_run(out, planned.run):
                    shards += run_shards(
                        planned.todo,
                        workers=options.workers,
                        scheduler=options.scheduler,
                        console=console,
                    )
            sha256 = seal_and_clean(out, planned.rows)
            _report_changed(planned.before, recorded_clips(out), console)
    return summarize(shards, kept=len(planned.kept), sha256=sha256)


def plan_only(
    manifest: Manifest,
    out: Path,
    settings: PrepSettings,
    options: BuildOptions,
    console: Console,
) -> PlannedBuild:
    """Create or reopen a store and write the plan of its shards into it.

    Raises:
        MmderError: As `build` does before the first shard.
    """
    with plan_build(manifest, out, settings, options, console) as planned:
        if planned.sha256 is None:
            # A record shows from now on that a shard of this plan is finished.
            for job in planned.todo:
                ledger.drop(out, job.shard)
            write_plan(out, manifest, planned.jobs)
            ledger.begin_run(out, planned.run)
    return planned


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStore:
    """A store with a plan."""

    path: Path
    plan: StoredPlan
    spec: StoreSpec


def read_planned(store: Path) -> PlannedStore:
    """Read the plan and the specification of a store.

    Raises:
        StoreError: If it has no plan.
    """
    spec = read_spec(store, open_group(store, "r"))
    plan = read_plan(store)
    if plan is None:
        state = "has no plan"
        with suppress(StoreError):
            Store(store)
            state = "is sealed, and needs no further work"
        msg = f"store {store}: {state}. A plan is made by mmder-prep plan."
        raise StoreError(msg)
    return PlannedStore(path=store, plan=plan, spec=spec)


def work_on(
    planned: PlannedStore, shards: Iterable[int], *, workers: int, console: Console
) -> list[ShardSummary]:
    """Prepare some shards of a planned store. Several processes may do so at once.

    Raises:
        StoreError: If a record or a part of the plan is damaged.
        StoreIncompleteError: If no worker can prepare the shards.
    """
    store = planned.path
    todo, done = [], []
    for shard in shards:
        record = ledger.read(store, shard)
        if record is None:
            todo.append(shard)
        else:
            done.append(summarize_shard(record, kept=True))
    if not todo:
        return done
    jobs = stored_jobs(store, planned.plan, planned.spec.settings, todo)
    return done + run_shards(jobs, workers=workers, console=console)


def seal_planned(store: Path) -> BuildSummary | list[int]:
    """Seal a planned store, or return the shards that are missing.

    Raises:
        StoreError: If the store has no plan, or another process writes to it.
    """
    with ledger.write_lock(store):
        shards = read_planned(store).plan.shards
        records = ledger.read_all(store, shards)
        missing = [shard for shard, record in enumerate(records) if record is None]
        if missing:
            return missing
        rows = [
            manifest_columns(row)
            for shard in range(shards)
            for row in read_rows(store, shard)
        ]
        sha256 = seal_and_clean(store, rows)
        ledger.end_run(store)
    summaries = [summarize_shard(r, kept=False) for r in records if r is not None]
    return summarize(summaries, kept=0, sha256=sha256)


def seal_and_clean(out: Path, rows: Sequence[Mapping[str, str]]) -> str:
    """Seal a store whose shards are all prepared, remove its plan, return its hash.

    Args:
        out: The store, locked by this process.
        rows: Columns that come from the manifest, in the order of the clips.

    Raises:
        StoreIncompleteError: If shards are missing or do not fit each other.
    """
    versions = {name: version(name) for name in RECORDED_PACKAGES}
    sha256 = seal(out, rows, versions)
    remove_plan(out)
    return sha256


def summarize(
    shards: Sequence[ShardSummary], *, kept: int, sha256: str
) -> BuildSummary:
    """Return the summary of a sealed store from those of its shards."""
    statuses = {s: sum(d.statuses.get(s, 0) for d in shards) for s in STATUSES}
    return BuildSummary(
        statuses={s: n for s, n in statuses.items() if n},
        shards=len(shards),
        kept=kept,
        sha256=sha256,
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
