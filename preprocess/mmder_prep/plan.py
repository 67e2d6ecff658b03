"""From the clips of a corpus to jobs, one a shard. Nothing here touches a disk.

Jobs are disjoint, cover every clip in its order, and each is one whole shard: two
jobs never write to one file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmder_prep.source import Source
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The part of a file that is the clip, in seconds from the start of the file."""

    start_s: float | None = None
    stop_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip to prepare."""

    clip_id: str
    source: Source
    sound: Source | None = None
    """The sound's own file, where the media file's is not to be used."""
    sound_at_s: float | None = None
    """When that file starts, on the clock of the media file; with the first picture
    where not said."""
    part: Part = Part()
    crop: str = ""
    """Where the person is: empty, ``left``, ``right``, or four numbers of pixels."""


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
