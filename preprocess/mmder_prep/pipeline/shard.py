"""One job: a shard's clips in, its arrays and its ledger record on disk.

Runs in a worker. Returns a small record, never arrays. Done twice, it does nothing
the second time; killed in the middle, it is done again. Torch and the decoder are
imported when the first clip needs them: the program that gives the jobs never does.
"""

import ctypes
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmder_prep.media.clip import Clip
from mmder_prep.pipeline.content_hash import ClipHash, hash_shard
from mmder_prep.pipeline.shard_plan import ShardJob
from mmder_store import ledger
from mmder_store.errors import MmderError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.schema import arrays_of, shape_of
from mmder_store.settings import PrepSettings
from mmder_store.store import write_shard

if TYPE_CHECKING:
    from mmder_prep.pipeline.prepare_clip import ClipRow

MAX_CRASHES = 2
"""Times a worker may die in a clip before the clip is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """What a job tells the one who gave it."""

    shard: int
    kept: bool
    """Nothing had changed, nothing was done."""
    statuses: dict[str, int]


def make_shard(job: ShardJob, tick: Callable[[str], None]) -> ShardSummary:
    """Prepare a shard's clips and write them, unless that was done before.

    Args:
        job: The clips and the settings.
        tick: Called with the status of each clip as it is ready.

    Raises:
        MmderError: If the store cannot be written.
    """
    store = Path(job.store)
    hashed, before = hash_shard(job)
    if before is not None:
        for record in before.clips:
            tick(record.status)
        return summarize_shard(before, kept=True)
    ledger.drop(store, job.shard)
    _warm_up_once(job.settings, job.device)
    arrays = {
        a.name: np.empty((len(job.clips), *shape_of(a, job.settings)), a.dtype)
        for a in arrays_of(job.settings)
    }
    records = []
    with CrashLog(store, job) as deaths:
        for place, (clip, source) in enumerate(zip(job.clips, hashed, strict=True)):
            row = _prepare_or_record(clip, source, job, deaths)
            for name, block in arrays.items():
                block[place] = row.arrays[name]
            records.append(_record(clip, source, row))
            tick(row.status)
            del row
        checksums = write_shard(store, job.shard, arrays)
        made = ShardRecord(shard=job.shard, clips=tuple(records), checksums=checksums)
        ledger.write(store, made)
    del arrays
    _trim_memory()
    return summarize_shard(made, kept=False)


def _trim_memory() -> None:
    """Return freed pages to the system, where the C library can (glibc).

    Else a worker keeps the holes between what it still uses, and grows for an hour.
    Once a shard: what a clip frees the next one takes, and pages that come back from
    the system each cost as much as a third of their decoding.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def summarize_shard(record: ShardRecord, *, kept: bool) -> ShardSummary:
    """Sum a shard's record up."""
    statuses = dict(Counter(clip.status for clip in record.clips))
    return ShardSummary(shard=record.shard, kept=kept, statuses=statuses)


def _record(clip: Clip, source: ClipHash, row: "ClipRow") -> ClipRecord:
    return ClipRecord(
        clip_id=clip.clip_id,
        key=source.key,
        status=row.status,
        reason=row.reason,
        source_sha256=source.sha256,
        sound_sha256=source.sound_sha256,
        source_stamp=source.stamp,
        facts=dict(row.facts),
    )


def _prepare_or_record(
    clip: Clip, source: ClipHash, job: ShardJob, deaths: "CrashLog"
) -> "ClipRow":
    """Prepare a clip; whatever goes wrong with it becomes its status and reason."""
    from mmder_prep.pipeline.prepare_clip import ClipRow, empty_row, prepare_clip

    reason = source.problem
    if deaths.of(clip.clip_id) >= MAX_CRASHES:
        reason = f"its decoder ended the process {MAX_CRASHES} times"
    if not reason:
        deaths.enter(clip.clip_id)
        try:
            return prepare_clip(clip, job.settings, device=job.device)
        except MmderError as error:
            reason = str(error)
        except Exception as error:  # one clip, however odd, never stops a run
            reason = f"unexpected {type(error).__name__}: {error}"
    return ClipRow(
        arrays=empty_row(job.settings), status="failed", reason=reason, facts={}
    )


class CrashLog:
    """Remembers in which clip a worker was when it died.

    A decoder that crashes takes its process with it. The scheduler gives the shard to
    the next worker, which finds the file that this one left and counts.
    """

    def __init__(self, store: Path, job: ShardJob) -> None:
        self._file = store / ledger.FOLDER / f".at-{job.shard:06d}"
        self._run = job.run
        self._counts: Counter[str] = Counter()
        try:
            left = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if left["run"] == job.run:
            self._counts = Counter(left["deaths"])
            self._counts[left["clip"]] += 1

    def __enter__(self) -> "CrashLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)

    def of(self, clip_id: str) -> int:
        """Count the deaths in a clip during this run."""
        return self._counts[clip_id]

    def enter(self, clip_id: str) -> None:
        """Say which clip is begun."""
        at = {"run": self._run, "clip": clip_id, "deaths": self._counts}
        self._file.write_text(json.dumps(at))


@cache
def _warm_up_once(settings: PrepSettings, device: str) -> None:
    """Load once what every clip needs; the first clip would wait for it."""
    from mmder_prep.pipeline.prepare_clip import warm_up

    warm_up(settings, device)
