"""Small sealed stores of noise, in which the emotion can be planted.

They have the real format and need no media and no face detection. Dozens of clips take
a second.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from mmder_store import PrepSettings, Store, StoreSpec, ledger
from mmder_store.checksums import crc32c, sha256
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from mmder_store.schema import CHECKSUMS, COLUMNS, arrays_of, shape_of
from mmder_store.sealing import checksum_rows, write_seal
from mmder_store.settings import PAPER_STEP_FRAMES
from mmder_store.writer import create, file_bytes, seal, write_shard
from mmder_store.zarr_group import (
    get_array,
    read_column,
    read_spec,
    shard_file,
    write_column,
)

EMOTIONS = LABEL_SETS["ravdess-8"].classes
Array = NDArray[Any]


def make_store(
    path: Path,
    *,
    clips: int,
    modality: Literal["av", "audio"] = "av",
    speakers: int = 6,
    planted: str = "",
    strength: float = 1.0,
    status: Mapping[int, str] | None = None,
    protocols: tuple[str, ...] = ("ravdess-contiguous-6",),
    seed: int = 0,
    emotions: Callable[[int], str] = lambda i: EMOTIONS[i % 8],
    corpus: str = "handmade",
    labels: tuple[str, ...] = ("ravdess-7", "ravdess-8"),
    step_frames: float = PAPER_STEP_FRAMES,
) -> Store:
    """Make a store of noise.

    Clip i has the emotion ``i % 8``. Its speaker has the name of a RAVDESS actor;
    the speakers are distributed over the six folds.

    Args:
        path: Folder of the store.
        clips: Number of clips.
        modality: "av", or "audio" for a store without frames.
        speakers: Number of speakers, at most 24.
        planted: "picture", "sound" or "picture sound": the arrays that show the
            emotion, by the position of a bright square or of a loud frequency band.
        strength: Contrast of the planted emotion; 1 is clear.
        status: Status by index of the clip; clips that are not listed are ok.
        protocols: Names of the fold protocols.
        seed: Seed of the noise.
        emotions: Emotion by index of the clip; the arrays do not depend on it.
        corpus: Name of the corpus.
        labels: Names of the label sets.
        step_frames: Step between the frames.
    """
    settings = PrepSettings(modality=modality, step_frames=step_frames)
    spec = StoreSpec(
        corpus=corpus,
        clips=clips,
        settings=settings,
        label_sets=tuple(LABEL_SETS[name] for name in labels),
        protocols=tuple(PROTOCOLS[p] for p in protocols),
        manifest_sha256="0",
        shard_clips=8,
    )
    create(path, spec)
    rng = np.random.default_rng(seed)
    actors = np.linspace(1, 24, speakers).round().astype(int)
    rows = [
        {
            "clip_id": f"c{i:04d}",
            "speaker": f"{actors[i // len(EMOTIONS) % speakers]:02d}",
            "emotion": emotions(i),
        }
        for i in range(clips)
    ]
    for shard in range(spec.shards):
        rows_of_shard = spec.rows(shard)
        numbers = range(rows_of_shard.start, rows_of_shard.stop)
        blocks = {
            a.name: np.stack(
                [
                    _row(a.name, shape_of(a, settings), i % 8, planted, strength, rng)
                    for i in numbers
                ]
            ).astype(a.dtype)
            for a in arrays_of(settings)
        }
        checksums = write_shard(path, shard, blocks)
        records = tuple(
            ledger.ClipRecord(
                clip_id=rows[i]["clip_id"],
                key=str(i),
                status=(status or {}).get(i, "ok"),
            )
            for i in numbers
        )
        ledger.write(
            path, ledger.ShardRecord(shard=shard, clips=records, checksums=checksums)
        )
    seal(path, rows, {"mmder": "0"})
    return Store(path)


def seal_edits(path: Path) -> None:
    """Compute all checksums of an edited store again, and seal it."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    spec = read_spec(path, group)
    arrays = arrays_of(spec.settings)
    records = []
    for old in ledger.read_all(path, spec.shards):
        assert old is not None
        checksums = {}
        for array in arrays:
            block = np.asarray(get_array(group, array.name)[spec.rows(old.shard)])
            checksums[array.name] = ledger.BlockChecksums(
                sha256=sha256(block),
                crc32c=tuple(map(crc32c, block)),
                file_bytes=file_bytes(shard_file(path, array, old.shard)),
            )
        record = ledger.ShardRecord(
            shard=old.shard, clips=old.clips, checksums=checksums
        )
        ledger.write(path, record)
        records.append(record)
    columns = {c.name: read_column(path, group, c) for c in COLUMNS}
    columns[CHECKSUMS.name] = np.concatenate(
        [checksum_rows(r, [a.name for a in arrays]) for r in records]
    )
    write_column(group, CHECKSUMS, columns[CHECKSUMS.name])
    write_seal(path, spec, columns, records, {"mmder": "0"})


def _row(
    name: str,
    shape: tuple[int, ...],
    emotion: int,
    planted: str,
    strength: float,
    rng: np.random.Generator,
) -> Array:
    kinds: dict[str, Callable[[], Array]] = {
        "frames": lambda: _frames(
            shape, emotion, strength * ("picture" in planted), rng
        ),
        "stft": lambda: _audio(shape, emotion, strength * ("sound" in planted), rng),
        "mfcc": lambda: _audio(shape, emotion, strength * ("sound" in planted), rng),
    }
    make = kinds.get(name.split("_")[0])
    return make() if make else np.zeros(shape)


def _frames(
    shape: tuple[int, ...], emotion: int, strength: float, rng: np.random.Generator
) -> Array:
    """Return gray noise; the emotion is the position of a bright square of 56 px."""
    frames = rng.integers(64, 128, shape)
    row, column = divmod(emotion, 4)
    square = np.s_[:, 56 * row + 56 : 56 * row + 112, 56 * column : 56 * column + 56]
    frames[square] += int(100 * strength)
    return frames


def _audio(
    shape: tuple[int, ...], emotion: int, strength: float, rng: np.random.Generator
) -> Array:
    """Return noise around -40 dB; the emotion is the frequency of a loud band."""
    levels_db = rng.normal(-40, 10, shape)
    low = 1 + (shape[1] - 1) * emotion // 8
    high = 1 + (shape[1] - 1) * (emotion + 1) // 8
    levels_db[:, low:high] += 40 * strength
    return levels_db
