"""Data of the benchmarks: the generated corpus, its store, and rewritten stores."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import zarr
from zarr.abc.codec import Codec

from mmder_store import Store, ledger
from mmder_store.errors import StoreError
from mmder_store.schema import ARRAYS, FORMAT_VERSION, arrays_of
from mmder_store.sealing import reseal
from mmder_store.settings import digest
from mmder_store.writer import create, seal, write_shard

DATA = Path(os.environ.get("MMDER_BENCH_DATA", Path(__file__).parents[1] / "data"))
"""Folder that keeps the data from one benchmark to the next."""
QUICK_ACTORS = 4
"""Number of actors of a quick run: 32 clips."""
SPEAKERS = 24
"""Number of speakers of RAVDESS."""
ACTORS = 12
"""Number of actors of a full run: 96 clips."""


def generate_corpus(actors: int) -> Path:
    """Return a folder of generated 720p clips in RAVDESS' layout, eight per actor."""
    out = DATA / f"sample-{actors}"
    _run_prep("sample", "--out", out, "--actors", actors)
    return out


def prepare_store(actors: int) -> Path:
    """Return a store of the generated corpus, or the one in MMDER_BENCH_STORE."""
    if path := os.environ.get("MMDER_BENCH_STORE"):
        return Path(path)
    layout = digest(FORMAT_VERSION, [[a.name, a.dtype, a.codec] for a in ARRAYS])
    out = DATA / f"store-{actors}-{layout[:8]}"
    _run_prep("ravdess", "--root", generate_corpus(actors), "--out", out)
    return out


def recode_store(path: Path, out: Path, codec: Codec | None) -> Path:
    """Write a copy of a store in which the heavy arrays have another codec."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(path, out)
    group = zarr.open_group(out, mode="r+", use_consolidated=False)
    for spec in arrays_of(Store(path).spec.settings):
        old = group[spec.name]
        if spec.heavy and isinstance(old, zarr.Array):
            values = old[:]
            new = group.create_array(
                spec.name,
                shape=old.shape,
                dtype=old.dtype,
                chunks=old.chunks,
                shards=old.shards,
                compressors=codec,  # type: ignore[arg-type]
                fill_value=old.fill_value,
                overwrite=True,
            )
            new[:] = values
    reseal(out)
    return out


def table_store(clips: int) -> Path:
    """Return a store of the 24 speakers of RAVDESS, made of repeated generated clips.

    It is made once. The paper's table has 1,440 clips.
    """
    source = prepare_store(QUICK_ACTORS)
    out = DATA / f"table-{clips}-{Store(source).sha256[:8]}"
    try:
        return Store(out).path
    except StoreError:
        return repeat_store(source, out, clips, speakers=SPEAKERS)


def repeat_store(path: Path, out: Path, clips: int, *, speakers: int = 0) -> Path:
    """Write a store that repeats the clips of another store in their order.

    The copies of a clip have different clip ids.

    Args:
        path: The other store.
        out: Folder to write.
        clips: Number of clips.
        speakers: Number of speakers, named from 01, among whom the clips are divided. 0
            keeps the speakers of the other store.
    """
    shutil.rmtree(out, ignore_errors=True)
    old = Store(path)
    spec = replace(old.spec, clips=clips)
    create(out, spec)
    for shard in range(spec.shards):
        numbers = range(spec.rows(shard).start, spec.rows(shard).stop)
        rows = [number % len(old) for number in numbers]
        blocks = {
            array.name: old.read_batch(array.name, rows)
            for array in arrays_of(spec.settings)
        }
        checksums = write_shard(out, shard, blocks)
        records = tuple(
            ledger.ClipRecord(clip_id=f"{n:06d}", key=str(n), status="ok")
            for n in numbers
        )
        record = ledger.ShardRecord(shard=shard, clips=records, checksums=checksums)
        ledger.write(out, record)
    seal(
        out,
        [
            {
                "clip_id": f"{n:06d}",
                "emotion": old.columns["emotion"][n % len(old)],
                "speaker": f"{1 + n * speakers // clips:02d}"
                if speakers
                else old.columns["speaker"][n % len(old)],
            }
            for n in range(clips)
        ],
        {},
    )
    return out


def _run_prep(*arguments: object) -> None:
    program = Path(sys.executable).with_name("mmder-prep")
    command = [str(program), *map(str, arguments)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        sys.exit(completed.stderr)
