"""Has a shard changed? The hash of a clip's bytes, the part asked for, the settings."""

from dataclasses import dataclass
from pathlib import Path

from mmder_prep.media.clip import Clip
from mmder_prep.pipeline.shard_plan import ShardJob
from mmder_store import ledger
from mmder_store.errors import MediaError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipHash:
    """The bytes of a clip's files, known by hash; or why they cannot be."""

    key: str
    stamp: str = ""
    sha256: str = ""
    sound_sha256: str = ""
    problem: str = ""


def file_stamp(clip: Clip) -> str:
    """Give size and time of a clip's files.

    Raises:
        MediaError: If the media file is not there.
    """
    media = clip.source.stamp()
    if clip.audio is None:
        return media
    try:
        return f"{media} + {clip.audio.stamp()}"
    except MediaError as error:  # the clip then has a picture and no sound
        return f"{media} + {error}"


def hash_clip(clip: Clip, known: ClipRecord | None, settings: PrepSettings) -> ClipHash:
    """Hash a clip's files, unless their sizes and times say that they are known."""
    part = (clip.segment.start_s, clip.segment.stop_s, clip.crop, clip.audio_start_s)
    try:
        now = file_stamp(clip)
        if known is not None and known.source_stamp == now and known.source_sha256:
            sha256, sound_sha256 = known.source_sha256, known.sound_sha256
        else:
            sha256, sound_sha256 = clip.source.sha256(), _sound_sha256(clip)
    except MediaError as error:
        key = ledger.clip_key(str(error), part, settings)
        return ClipHash(key=key, problem=str(error))
    key = ledger.clip_key(sha256 + sound_sha256, part, settings)
    return ClipHash(key=key, stamp=now, sha256=sha256, sound_sha256=sound_sha256)


def _sound_sha256(clip: Clip) -> str:
    try:
        return clip.audio.sha256() if clip.audio else ""
    except MediaError:
        return ""


def hash_shard(job: ShardJob) -> tuple[list[ClipHash], ShardRecord | None]:
    """Hash a shard's clips; also give its record, where that still holds."""
    before = ledger.read(Path(job.store), job.shard)
    known = {} if before is None else {c.clip_id: c for c in before.clips}
    hashed = [hash_clip(c, known.get(c.clip_id), job.settings) for c in job.clips]
    same = before is not None and [(c.clip_id, c.key) for c in before.clips] == [
        (c.clip_id, h.key) for c, h in zip(job.clips, hashed, strict=True)
    ]
    return hashed, before if same else None


def unchanged(job: ShardJob) -> ShardRecord | None:
    """Give the record of a shard all of whose files have the size and time they had."""
    before = ledger.read(Path(job.store), job.shard)
    if before is None:
        return None
    stamps = {c.clip_id: c.source_stamp for c in before.clips}
    for clip in job.clips:
        try:
            if file_stamp(clip) != stamps.get(clip.clip_id):
                return None
        except MediaError:
            return None
    return hash_shard(job)[1]
