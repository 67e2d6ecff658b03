"""Stores that are written shard by shard, with two clips per shard."""

from pathlib import Path

import numpy as np

from mmder_store import PrepSettings, StoreSpec, ledger
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from mmder_store.schema import arrays_of, shape_of
from mmder_store.writer import write_shard


def make_spec(clips: int = 5, settings: PrepSettings | None = None) -> StoreSpec:
    return StoreSpec(
        corpus="test",
        clips=clips,
        settings=settings or PrepSettings(modality="audio"),
        label_sets=(LABEL_SETS["ravdess-7"],),
        protocols=(PROTOCOLS["ravdess-contiguous-6"],),
        manifest_sha256="0",
        shard_clips=2,
    )


def make_blocks(
    spec: StoreSpec, shard: int, value: float = 1.0
) -> dict[str, np.ndarray]:
    rows = spec.rows(shard)
    return {
        a.name: np.full(
            (rows.stop - rows.start, *shape_of(a, spec.settings)), value, a.dtype
        )
        for a in arrays_of(spec.settings)
    }


def write_shards(path: Path, spec: StoreSpec, shards: list[int]) -> None:
    """Write shards in which every value is the number of the shard, from 1."""
    for shard in shards:
        checksums = write_shard(path, shard, make_blocks(spec, shard, shard + 1))
        clips = tuple(
            ledger.ClipRecord(clip_id=f"c{i}", key=f"k{i}", status="ok")
            for i in range(spec.rows(shard).start, spec.rows(shard).stop)
        )
        record = ledger.ShardRecord(shard=shard, clips=clips, checksums=checksums)
        ledger.write(path, record)


def manifest_rows(clips: int) -> list[dict[str, str]]:
    return [
        {"clip_id": f"c{i}", "speaker": "01", "emotion": "sad"} for i in range(clips)
    ]
