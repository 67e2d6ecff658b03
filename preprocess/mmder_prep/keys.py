"""Has a shard changed? The hash of a clip's bytes, the part asked for, the settings."""

from dataclasses import dataclass
from pathlib import Path

from mmder_prep.plan import Clip, ShardJob
from mmder_store import ledger
from mmder_store.errors import MediaError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.settings import PrepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashed:
    """The bytes of a clip's file, known by hash; or why they cannot be."""

    key: str
    stamp: str = ""
    sha256: str = ""
    problem: str = ""


def hash_clip(clip: Clip, known: ClipRecord | None, settings: PrepSettings) -> Hashed:
    """Hash a clip's file, unless its size and time say that the hash is known."""
    part = (clip.part.start_s, clip.part.stop_s, clip.crop)
    try:
        stamp = clip.source.stamp()
        if known is not None and known.source_stamp == stamp and known.source_sha256:
            sha256 = known.source_sha256
        else:
            sha256 = clip.source.sha256()
    except MediaError as error:
        key = ledger.clip_key(str(error), part, settings)
        return Hashed(key=key, problem=str(error))
    key = ledger.clip_key(sha256, part, settings)
    return Hashed(key=key, stamp=stamp, sha256=sha256)


def hash_shard(job: ShardJob) -> tuple[list[Hashed], ShardRecord | None]:
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
            if clip.source.stamp() != stamps.get(clip.clip_id):
                return None
        except MediaError:
            return None
    return hash_shard(job)[1]
