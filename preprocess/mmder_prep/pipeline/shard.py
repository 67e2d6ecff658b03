"""Job of a worker: prepare the clips of one shard, and write its arrays and its record.

A job returns a small summary; its arrays go to disk. If the shard is up to date, the
job does nothing. If it is interrupted, the next run repeats it. Torch and the decoder
are imported for the first clip only, so the main program never imports them.
"""

import ctypes
import json
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmder_prep.media.clip import Clip
from mmder_prep.media.regular_file import UNREADABLE
from mmder_prep.pipeline.content_hash import ClipHash, hash_clip, hash_shard
from mmder_prep.pipeline.fingerprint import (
    compute_fingerprint,
    device_kind,
    fingerprint_digest,
)
from mmder_prep.pipeline.shard_plan import ShardJob
from mmder_prep.pipeline.worker_check import check_media, check_worker
from mmder_store import ledger
from mmder_store.atomic_files import name_file_in_errors
from mmder_store.errors import MmderError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.schema import arrays_of, shape_of
from mmder_store.settings import PrepSettings
from mmder_store.writer import write_shard

if TYPE_CHECKING:
    from mmder_prep.pipeline.prepare_clip import ClipRow

MAX_CRASHES = 2
"""Number of worker crashes in a clip after which the clip is skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """Result of a job."""

    shard: int
    """Index of the shard."""
    kept: bool
    """True if the shard was up to date."""
    statuses: dict[str, int]
    """Number of clips per status."""


def make_shard(job: ShardJob, tick: Callable[[str], None]) -> ShardSummary:
    """Prepare the clips of a shard and write them, unless the shard is up to date.

    Args:
        job: The clips and the settings.
        tick: Called with the status of each clip when it is ready.

    Raises:
        UnfitWorkerError: If this worker has other software than the run, or does not
            see its store or its media. Another worker can prepare the shard.
        MmderError: If the store cannot be written.
    """
    check_worker(job)
    store = Path(job.store)
    stale = ledger.read(store, job.shard)
    hashes, current = hash_shard(job)
    if current is not None:
        for record in current.clips:
            tick(record.status)
        return summarize_shard(current, kept=True)
    # If another worker has finished the shard meanwhile, its record is kept.
    if stale is not None and ledger.read(store, job.shard) == stale:
        ledger.drop(store, job.shard)
    _warm_up_once(job.settings, job.device)
    arrays = {
        a.name: np.empty((len(job.clips), *shape_of(a, job.settings)), a.dtype)
        for a in arrays_of(job.settings)
    }
    records = []
    with CrashLog(store, job) as crashes:
        for index, (clip, clip_hash) in enumerate(zip(job.clips, hashes, strict=True)):
            row = _prepare_or_record(clip, clip_hash, job, crashes)
            unread = row.status == "failed" or UNREADABLE in row.reason
            if unread and job.requirements is not None:
                check_media(job.requirements)
            if unread and not clip_hash.problem:
                # An earlier hash does not show that the file is readable now.
                clip_hash = hash_clip(clip, None, job.settings, again=True)
                row = replace(row, reason=clip_hash.problem or row.reason)
            for name, block in arrays.items():
                block[index] = row.arrays[name]
            records.append(_record(clip, clip_hash, row))
            tick(row.status)
            del row
        checksums = write_shard(store, job.shard, arrays)
        written = ShardRecord(
            shard=job.shard,
            clips=tuple(records),
            checksums=checksums,
            fingerprint=fingerprint_digest(
                compute_fingerprint(device_kind(job.device))
            ),
            host=socket.gethostname(),
        )
        ledger.write(store, written)
    del arrays
    _trim_memory()
    return summarize_shard(written, kept=False)


def _trim_memory() -> None:
    """Return freed memory to the system, if the C library can (glibc).

    Otherwise a worker keeps the gaps between blocks in use, and grows for an hour. Once
    per shard is enough: the next clip uses the memory that the last one freed, and
    fetching pages from the system again would cost a third of the decoding time.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def summarize_shard(record: ShardRecord, *, kept: bool) -> ShardSummary:
    """Return the summary of a shard from its record."""
    statuses = dict(Counter(clip.status for clip in record.clips))
    return ShardSummary(shard=record.shard, kept=kept, statuses=statuses)


def _record(clip: Clip, clip_hash: ClipHash, row: "ClipRow") -> ClipRecord:
    return ClipRecord(
        clip_id=clip.clip_id,
        key=clip_hash.key,
        status=row.status,
        reason=row.reason,
        source_sha256=clip_hash.sha256,
        sound_sha256=clip_hash.sound_sha256,
        source_stamp=clip_hash.stamp,
        facts=dict(row.facts),
    )


def _prepare_or_record(
    clip: Clip, clip_hash: ClipHash, job: ShardJob, crashes: "CrashLog"
) -> "ClipRow":
    """Prepare a clip; any error becomes its status and reason."""
    from mmder_prep.pipeline.prepare_clip import ClipRow, empty_row, prepare_clip

    reason = clip_hash.problem
    if crashes.count(clip.clip_id) >= MAX_CRASHES:
        reason = f"its decoder ended the process {MAX_CRASHES} times"
    if not reason:
        crashes.start_clip(clip.clip_id)
        try:
            return prepare_clip(clip, job.settings, device=job.device)
        except MmderError as error:
            reason = str(error)
        except Exception as error:  # a single clip never stops a run
            reason = f"unexpected {type(error).__name__}: {error}"
    return ClipRow(
        arrays=empty_row(job.settings), status="failed", reason=reason, facts={}
    )


class CrashLog:
    """Number of worker crashes per clip of a shard, in the current run.

    A decoder that crashes ends its process. The log is a file that names the clip in
    progress. If a worker finds the file of an earlier attempt, that attempt crashed in
    this clip.
    """

    def __init__(self, store: Path, job: ShardJob) -> None:
        """Read the log of an earlier attempt at the shard, if there is one."""
        self._file = store / ledger.FOLDER / f".at-{job.shard:06d}"
        self._run = job.run
        self._counts: Counter[str] = Counter()
        try:
            previous = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if previous["run"] == job.run:
            self._counts = Counter(previous["deaths"])
            self._counts[previous["clip"]] += 1

    def __enter__(self) -> "CrashLog":
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file: this process has not crashed."""
        self._file.unlink(missing_ok=True)

    def count(self, clip_id: str) -> int:
        """Return the number of crashes in a clip during this run."""
        return self._counts[clip_id]

    def start_clip(self, clip_id: str) -> None:
        """Record that a clip is in progress."""
        entry = {"run": self._run, "clip": clip_id, "deaths": self._counts}
        with name_file_in_errors(self._file):
            self._file.write_text(json.dumps(entry))


@cache
def _warm_up_once(settings: PrepSettings, device: str) -> None:
    """Warm up this process, so that its first clip takes no longer than the others."""
    from mmder_prep.pipeline.prepare_clip import warm_up

    warm_up(settings, device)
