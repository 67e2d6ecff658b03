"""Files of a plan: what each part of a build needs, in the store until it is sealed.

`mmder-prep plan` writes them, and `mmder-prep work` and `mmder-prep seal` read them. A
part of the plan lists the clips of one shard, so that a job reads only its own. The
plan itself is written last: if it exists, all parts do.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmder_prep.corpora.manifest import Manifest, ManifestRow, to_clip
from mmder_prep.pipeline.shard_plan import Requirements, ShardJob
from mmder_store.atomic_files import write_json
from mmder_store.errors import StoreError
from mmder_store.settings import PrepSettings, digest

FOLDER = "plan"
"""Folder of the plan in a store."""
FILE = "plan.json"
FORMAT = 1
"""Version of the files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPlan:
    """A plan as read from a store."""

    root: str
    """Folder that the paths of the clips are relative to."""
    device: str
    """Device of face detection."""
    run: str
    """Id of the run."""
    shards: int
    """Number of shards."""
    requirements: Requirements
    """Conditions that every worker must meet."""


def write_plan(store: Path, manifest: Manifest, jobs: Sequence[ShardJob]) -> None:
    """Write a plan into a store; an earlier one is replaced.

    Args:
        store: The store, locked by this process.
        manifest: The clips, in the order of the jobs.
        jobs: All shards.
    """
    remove_plan(store)
    folder = store / FOLDER
    start = 0
    for job in jobs:
        rows = manifest.rows[start : start + len(job.clips)]
        start += len(rows)
        content = {"shard": job.shard, "rows": [asdict(row) for row in rows]}
        write_json(_part(store, job.shard), {**content, "sha256": digest(content)})
    first = jobs[0]
    assert first.requirements is not None
    plan = StoredPlan(
        root=str(manifest.root.absolute()),
        device=first.device,
        run=first.run,
        shards=len(jobs),
        requirements=first.requirements,
    )
    content = {"format": FORMAT, "plan": json.loads(json.dumps(asdict(plan)))}
    write_json(folder / FILE, {**content, "sha256": digest(content)})


def remove_plan(store: Path) -> None:
    """Remove the plan of a store, if it has one."""
    # First the file that marks it as complete.
    (store / FOLDER / FILE).unlink(missing_ok=True)
    shutil.rmtree(store / FOLDER, ignore_errors=True)


def read_plan(store: Path) -> StoredPlan | None:
    """Read the plan of a store, or return None if there is none.

    Raises:
        StoreError: If the file is damaged or of another version.
    """
    content = _read(store / FOLDER / FILE)
    if content is None:
        return None
    if content.get("format") != FORMAT:
        msg = (
            f"store {store}: its plan has format {content.get('format')}, this mmder "
            f"reads {FORMAT}. Run mmder-prep plan again."
        )
        raise StoreError(msg)
    values = content["plan"]
    needed = values.pop("requirements")
    requirements = Requirements(
        fingerprint=tuple((name, value) for name, value in needed["fingerprint"]),
        root=needed["root"],
        samples=tuple((path, size) for path, size in needed["samples"]),
    )
    return StoredPlan(**values, requirements=requirements)


def read_rows(store: Path, shard: int) -> tuple[ManifestRow, ...]:
    """Read the rows of the clips of a shard.

    Raises:
        StoreError: If the file is missing or damaged.
    """
    file = _part(store, shard)
    content = _read(file)
    if content is None or content["shard"] != shard:
        msg = f"{file}: not a part of a plan. Run mmder-prep plan again."
        raise StoreError(msg)
    return tuple(ManifestRow(**row) for row in content["rows"])


def stored_jobs(
    store: Path, plan: StoredPlan, settings: PrepSettings, shards: Iterable[int]
) -> list[ShardJob]:
    """Return the jobs of some shards.

    Raises:
        StoreError: If a file of the plan is missing or damaged.
    """
    return [
        ShardJob(
            store=str(store.absolute()),
            shard=shard,
            clips=tuple(
                to_clip(Path(plan.root), row) for row in read_rows(store, shard)
            ),
            settings=settings,
            device=plan.device,
            run=plan.run,
            requirements=plan.requirements,
        )
        for shard in shards
    ]


def _part(store: Path, shard: int) -> Path:
    return store / FOLDER / f"{shard:06d}.json"


def _read(file: Path) -> dict[str, Any] | None:
    """Read a file of a plan and check its checksum; None if it does not exist."""
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        found, expected = content.pop("sha256"), digest(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        msg = f"{file}: not a file of a plan ({error}). Run mmder-prep plan again."
        raise StoreError(msg) from error
    if found != expected:
        msg = f"{file}: damaged. Run mmder-prep plan again."
        raise StoreError(msg)
    return content
