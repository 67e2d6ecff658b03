"""Check of a worker: its software, its view of the store, its view of the media.

A worker of a running Dask cluster can have another mmder, or lack a mount. Its shards
would have other bytes, or its clips would fail. Each worker process therefore checks
itself before its first shard, and its view of the media again when a clip fails.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from mmder_prep.media.clip import Clip
from mmder_prep.pipeline.fingerprint import (
    compute_fingerprint,
    describe_difference,
    device_kind,
)
from mmder_prep.pipeline.shard_plan import Requirements, ShardJob
from mmder_store import ledger
from mmder_store.errors import MmderError

MAX_SAMPLES = 8
"""Maximum number of media files that a worker must see."""
STORE_TIMEOUT_S = 5.0
"""Time in which a new file of the store must be visible. Network file systems cache
their folders for some seconds."""


class UnfitWorkerError(MmderError):
    """A worker that cannot prepare shards of this run; another worker can."""


def require(
    clips: Sequence[Clip], root: Path, fingerprint: tuple[tuple[str, str], ...]
) -> Requirements:
    """Return what a worker must have: the software of this process, and its media.

    Args:
        clips: The clips. Up to `MAX_SAMPLES` of their files that exist are sampled.
        root: Folder of the media.
        fingerprint: Fingerprint of the software.
    """
    step = max(1, len(clips) // MAX_SAMPLES)
    paths = dict.fromkeys(clip.source.path for clip in clips[::step])
    sizes = ((str(path), _size(path)) for path in paths)
    samples = [(path, size) for path, size in sizes if size is not None]
    return Requirements(
        fingerprint=fingerprint,
        root=str(root.absolute()),
        samples=tuple(samples[:MAX_SAMPLES]),
    )


def check_worker(job: ShardJob) -> None:
    """Check this process once per run.

    Raises:
        UnfitWorkerError: If it cannot prepare the shards of this run, with the reason.
    """
    if job.requirements is not None:
        _check_once(job.store, job.run, job.requirements, device_kind(job.device))


@lru_cache(maxsize=8)
def _check_once(store: str, run: str, requirements: Requirements, kind: str) -> None:
    difference = describe_difference(
        dict(compute_fingerprint(kind)), dict(requirements.fingerprint)
    )
    if difference:
        msg = f"other software ({difference}); install the same versions there"
        raise UnfitWorkerError(msg)
    check_store(store, run)
    check_media(requirements)


def check_store(store: str, run: str) -> None:
    """Check that the run id in the store is that of this run.

    Raises:
        UnfitWorkerError: If it is not.
    """
    deadline_s = time.monotonic() + STORE_TIMEOUT_S
    while (found := ledger.read_run(Path(store))) != run:
        if time.monotonic() > deadline_s:
            what = "another folder or an older run" if found else "no store"
            msg = f"it sees {what} at {store}; mount the same folder there"
            raise UnfitWorkerError(msg)
        time.sleep(0.1)


def check_media(requirements: Requirements) -> None:
    """Check that the media folder and the sampled files are there.

    Raises:
        UnfitWorkerError: If one is not.
    """
    if not Path(requirements.root).is_dir():
        msg = f"it does not see the media folder {requirements.root}; mount it there"
        raise UnfitWorkerError(msg)
    for path, size in requirements.samples:
        found = _size(Path(path))
        if found != size:
            what = "does not see" if found is None else "sees another file at"
            msg = f"it {what} {path}; mount the same media folder there"
            raise UnfitWorkerError(msg)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None
