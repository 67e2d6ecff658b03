"""Content hashes of clips, to find the shards that have changed.

The key of a clip is a hash of the bytes of its files, its segment and the settings.
"""

from dataclasses import dataclass
from pathlib import Path

from mmder_prep.media.clip import Clip
from mmder_prep.media.regular_file import UNREADABLE
from mmder_prep.media.source import Source
from mmder_prep.pipeline.shard_plan import ShardJob
from mmder_store import ledger
from mmder_store.errors import MediaError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipHash:
    """Hashes of a clip and its files."""

    key: str
    """Hash of everything that determines the arrays of the clip."""
    stamp: str = ""
    """Sizes and modification times of the files."""
    sha256: str = ""
    """Hash of the media file."""
    sound_sha256: str = ""
    """Hash of the separate audio file; empty if there is none."""
    problem: str = ""
    """Reason why the media file could not be hashed; empty if it was."""


def file_stamp(clip: Clip) -> str:
    """Return the sizes and modification times of the files of a clip.

    Raises:
        MediaError: If the media file does not exist.
    """
    media = clip.source.stamp()
    if clip.audio is None:
        return media
    try:
        return f"{media} + {clip.audio.stamp()}"
    except MediaError as error:  # the clip then has video and no audio
        return f"{media} + {error}"


def hash_clip(
    clip: Clip,
    known: ClipRecord | None,
    settings: PrepSettings,
    *,
    again: bool = False,
) -> ClipHash:
    """Return the hashes of a clip.

    Args:
        clip: The clip.
        known: Record of the clip from an earlier run. If its stamp is that of the
            files, its hashes are used and the files are not read.
        settings: Settings of the run.
        again: True to read the files even if this process hashed them before.
    """
    part = (clip.segment.start_s, clip.segment.stop_s, clip.crop, clip.audio_start_s)
    try:
        stamp = file_stamp(clip)
        if known is not None and known.source_stamp == stamp and known.source_sha256:
            sha256, sound_sha256 = known.source_sha256, known.sound_sha256
        else:
            sha256 = clip.source.sha256(again=again)
            sound_sha256 = _audio_sha256(clip, again=again)
            if clip.audio is not None and not sound_sha256 and _exists(clip.audio):
                stamp = ""  # a read error may be gone in the next run: hash it again
    except MediaError as error:
        key = ledger.clip_key(str(error), part, settings)
        return ClipHash(key=key, problem=str(error))
    key = ledger.clip_key(sha256 + sound_sha256, part, settings)
    return ClipHash(key=key, stamp=stamp, sha256=sha256, sound_sha256=sound_sha256)


def _audio_sha256(clip: Clip, *, again: bool) -> str:
    try:
        return clip.audio.sha256(again=again) if clip.audio else ""
    except MediaError:
        return ""


def _exists(source: Source) -> bool:
    try:
        source.stamp()
    except MediaError:
        return False
    return True


def hash_shard(job: ShardJob) -> tuple[list[ClipHash], ShardRecord | None]:
    """Return the hashes of the clips of a shard, and its record if it is current."""
    record = ledger.read(Path(job.store), job.shard)
    known = {} if record is None else {c.clip_id: c for c in record.clips}
    hashes = [hash_clip(c, known.get(c.clip_id), job.settings) for c in job.clips]
    current = (
        record is not None
        and [(c.clip_id, c.key) for c in record.clips]
        == [(c.clip_id, h.key) for c, h in zip(job.clips, hashes, strict=True)]
        and not any(map(_readable_now, job.clips, record.clips, hashes))
    )
    return hashes, record if current else None


def _readable_now(clip: Clip, record: ClipRecord, clip_hash: ClipHash) -> bool:
    """Return whether a clip that could not be read when it was prepared now can be."""
    has_audio = clip.audio is None or bool(clip_hash.sound_sha256)
    return UNREADABLE in record.reason and not clip_hash.problem and has_audio


def unchanged(job: ShardJob) -> ShardRecord | None:
    """Return the record of a shard if it is current, and None otherwise.

    A shard is not hashed if a file has another size or modification time than recorded.
    """
    record = ledger.read(Path(job.store), job.shard)
    if record is None:
        return None
    stamps = {c.clip_id: c.source_stamp for c in record.clips}
    for clip in job.clips:
        try:
            if file_stamp(clip) != stamps.get(clip.clip_id):
                return None
        except MediaError:
            return None
    return hash_shard(job)[1]
