"""Comparison of the clips of an existing store with those of a run.

A run may add clips to a store, and prepare clips again whose media or segment changed.
It is refused if prepared clips would be lost: because the run does not list them,
because their media file is gone, or because every clip has another media file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.content_hash import file_stamp
from mmder_store import ledger
from mmder_store.errors import MediaError, StoreError
from mmder_store.ledger import ClipRecord

MAX_NAMES = 3
"""Maximum number of names to print."""
MAX_HASHED = 8
"""Maximum number of media files that are read to find out if all of them changed."""
REPLACE = "Choose another --out, or use --overwrite to replace the store."


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreChanges:
    """Differences between the clips of a store and those of a run."""

    recorded: int
    """Number of clips in the store."""
    added: int
    """Number of clips that only the run has."""
    unlisted: tuple[str, ...] = ()
    """Prepared clips that only the store has."""
    without_media: tuple[str, ...] = ()
    """Prepared clips whose media file cannot be found."""
    other_media: tuple[str, ...] = ()
    """Clips that were compared, if all clips of the store have other media files."""


def recorded_clips(store: Path) -> dict[str, ClipRecord]:
    """Return the clips of a store by name, from its valid ledger records."""
    clips: dict[str, ClipRecord] = {}
    for file in sorted((store / ledger.FOLDER).glob("*.json")):
        try:
            record = ledger.read(store, int(file.stem))
        except (StoreError, ValueError):
            continue  # damaged: its clips are prepared again
        clips |= {clip.clip_id: clip for clip in record.clips} if record else {}
    return clips


def compare_clips(
    recorded: Mapping[str, ClipRecord], clips: Sequence[Clip]
) -> StoreChanges:
    """Compare the clips of a store with those of a run.

    Clips that failed have no data, so the run may omit them.

    Args:
        recorded: Clips of the store by name.
        clips: Clips of the run.
    """
    by_name = {clip.clip_id: clip for clip in clips}
    prepared = {n: r for n, r in recorded.items() if r.status != "failed"}
    return StoreChanges(
        recorded=len(recorded),
        added=len(by_name.keys() - recorded.keys()),
        unlisted=tuple(n for n in prepared if n not in by_name),
        without_media=tuple(
            name
            for name, record in prepared.items()
            if name in by_name and _lacks_media(by_name[name], record)
        ),
        other_media=_replaced(prepared, by_name),
    )


def _lacks_media(clip: Clip, record: ClipRecord) -> bool:
    """Return whether a file of a prepared clip cannot be found."""
    needed: list[Source] = [clip.source]
    if clip.audio is not None and record.sound_sha256:
        needed.append(clip.audio)
    try:
        for source in needed:
            source.stamp()
    except MediaError:
        return True
    return False


def _replaced(
    prepared: Mapping[str, ClipRecord], by_name: Mapping[str, Clip]
) -> tuple[str, ...]:
    """Return the clips that were compared if every clip has another file, else ().

    Files are read only if none of them has the recorded size and modification time.
    """
    common = [name for name in prepared if name in by_name]
    try:
        if any(
            file_stamp(by_name[name]) == prepared[name].source_stamp for name in common
        ):
            return ()
        sample = common[:MAX_HASHED]
        for name in sample:
            if by_name[name].source.sha256() == prepared[name].source_sha256:
                return ()
    except MediaError:
        return ()  # the clip without media is reported
    return tuple(sample)


def refuse_loss(store: Path, changes: StoreChanges) -> None:
    """Check that a run keeps every prepared clip.

    Raises:
        StoreError: With the number of clips that would be lost, some of their names,
            and the ways out.
    """
    total = f"of its {changes.recorded} clips"
    if changes.unlisted:
        lost = changes.unlisted
        problem = f"{len(lost)} {total} are not in this run and would be lost"
        advice = REPLACE
    elif changes.without_media:
        lost = changes.without_media
        problem = f"the media files of {len(lost)} {total} are gone"
        advice = (
            "Put the files back, choose another --out, or use --overwrite to replace "
            "the store."
        )
    elif changes.other_media:
        lost = changes.other_media
        problem = "its clips have other media files than the clips of this run"
        advice = REPLACE
    else:
        return
    msg = f"store {store}: {problem} ({name_some(lost)}). {advice}"
    raise StoreError(msg)


def changed_clips(
    before: Mapping[str, ClipRecord], after: Mapping[str, ClipRecord]
) -> Iterator[str]:
    """Yield the names of the clips whose media, segment or crop changed."""
    for name, record in after.items():
        if name in before and before[name].key != record.key:
            yield name


def name_some(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
