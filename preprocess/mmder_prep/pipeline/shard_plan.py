"""Division of the clips of a corpus into jobs of one shard each.

Each job is one whole shard, and every clip is in exactly one job, so two jobs never
write to the same file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmder_prep.media.clip import Clip
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Software and files that a worker must have to prepare shards of a run."""

    fingerprint: tuple[tuple[str, str], ...]
    """Names and values of the software that determines the bytes of a store."""
    root: str
    """Folder of the media."""
    samples: tuple[tuple[str, int], ...]
    """Paths and sizes of some media files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardJob:
    """Everything that a worker needs to prepare one shard."""

    store: str
    """Folder of the store, as seen by the worker."""
    shard: int
    """Index of the shard."""
    clips: tuple[Clip, ...]
    settings: PrepSettings
    device: str
    """Device of face detection."""
    run: str
    """Id of the run. Crashes of other runs are ignored."""
    requirements: Requirements | None = None
    """Conditions that the worker must meet; None if it is this process."""


def shard_jobs(
    clips: Sequence[Clip],
    *,
    store: str,
    shard_clips: int,
    settings: PrepSettings,
    device: str,
    run: str,
    requirements: Requirements | None = None,
) -> list[ShardJob]:
    """Return one job per shard of `shard_clips` clips, in the order of the clips."""
    return [
        ShardJob(
            store=store,
            shard=start // shard_clips,
            clips=tuple(clips[start : start + shard_clips]),
            settings=settings,
            device=device,
            run=run,
            requirements=requirements,
        )
        for start in range(0, len(clips), shard_clips)
    ]
