"""What is measured on: the generated corpus, a store of it, and copies of that."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import zarr
from zarr.abc.codec import Codec

from mmder_store import Store, ledger
from mmder_store.schema import ARRAYS, FORMAT_VERSION, arrays_of
from mmder_store.settings import digest
from mmder_store.store import create, seal, write_shard

DATA = Path(os.environ.get("MMDER_BENCH_DATA", Path(__file__).parents[1] / "data"))
"""Where it is kept from one benchmark to the next."""
QUICK_ACTORS = 4
"""32 clips."""
ACTORS = 12
"""96 clips."""


def sample(actors: int) -> Path:
    """Give a folder of generated 720p clips in RAVDESS' layout, eight an actor."""
    out = DATA / f"sample-{actors}"
    _prep("sample", "--out", out, "--actors", actors)
    return out


def store(actors: int) -> Path:
    """Give a store of such a sample, or the one that MMDER_BENCH_STORE names."""
    if named := os.environ.get("MMDER_BENCH_STORE"):
        return Path(named)
    layout = digest(FORMAT_VERSION, [[a.name, a.dtype, a.codec] for a in ARRAYS])
    out = DATA / f"store-{actors}-{layout[:8]}"
    _prep("ravdess", "--root", sample(actors), "--out", out)
    return out


def recoded(path: Path, out: Path, codec: Codec | None) -> Path:
    """Write a store's heavy arrays anew with another codec, all else as it is."""
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
    return out


def _prep(*arguments: object) -> None:
    program = Path(sys.executable).with_name("mmder-prep")
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


def repeated(path: Path, out: Path, times: int) -> Path:
    """Write a store that has every clip of another so many times, under new names."""
    shutil.rmtree(out, ignore_errors=True)
    old = Store(path)
    spec = replace(old.spec, clips=times * len(old))
    create(out, spec)
    for shard in range(spec.shards):
        numbers = range(spec.rows(shard).start, spec.rows(shard).stop)
        rows = [number % len(old) for number in numbers]
        blocks = {
            array.name: old.read_batch(array.name, rows)
            for array in arrays_of(spec.settings)
        }
        checksums = write_shard(out, shard, blocks)
        clips = tuple(
            ledger.ClipRecord(clip_id=f"{n:06d}", key=str(n), status="ok")
            for n in numbers
        )
        record = ledger.ShardRecord(shard=shard, clips=clips, checksums=checksums)
        ledger.write(out, record)
    told = ("speaker", "emotion")
    seal(
        out,
        [
            {"clip_id": f"{n:06d}", **{k: old.columns[k][n % len(old)] for k in told}}
            for n in range(spec.clips)
        ],
        {},
    )
    return out
