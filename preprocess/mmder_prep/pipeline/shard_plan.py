"""From the clips of a corpus to jobs, one a shard. Nothing here touches a disk.

Jobs are disjoint, cover every clip in its order, and each is one whole shard: two
jobs never write to one file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmder_prep.media.clip import Clip
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardJob:
    """All that a worker needs to make one shard."""

    store: str
    """Folder of the store, as the worker sees it."""
    shard: int
    clips: tuple[Clip, ...]
    settings: PrepSettings
    device: str
    run: str
    """Names this run, so that a worker's death in another run counts for nothing."""


def shard_jobs(
    clips: Sequence[Clip],
    *,
    store: str,
    shard_clips: int,
    settings: PrepSettings,
    device: str,
    run: str,
) -> list[ShardJob]:
    """Cut the clips into jobs of one shard each."""
    return [
        ShardJob(
            store=store,
            shard=start // shard_clips,
            clips=tuple(clips[start : start + shard_clips]),
            settings=settings,
            device=device,
            run=run,
        )
        for start in range(0, len(clips), shard_clips)
    ]
