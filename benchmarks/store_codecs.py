"""Codecs for a store's arrays: bytes per clip, CPU time to write and to read.

Every codec that Zarr ships writes whole shards, as `mmder-prep` does. Clips are read in
random order, as `mmder-train` does. Times are the CPU time of this process.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import Codec
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from data import ACTORS, DATA, QUICK_ACTORS, prepare_store
from mmder_store import Store
from mmder_store.shard_reader import create_reader
from record import Figure, interleaved, main, ratio

PLAIN = "none"
CODECS: dict[str, Codec | None] = {
    PLAIN: None,
    "LZ4": BloscCodec(cname="lz4", shuffle="noshuffle"),
    "LZ4, bytes": BloscCodec(cname="lz4", shuffle="shuffle"),
    "LZ4, bits": BloscCodec(cname="lz4", shuffle="bitshuffle"),
    "BloscLZ, bytes": BloscCodec(cname="blosclz", shuffle="shuffle"),
    "Zstandard -5": ZstdCodec(level=-5),
    "Zstandard -1": ZstdCodec(level=-1),
    "Zstandard 1": ZstdCodec(level=1),
    "Zstandard 3": ZstdCodec(level=3),
    "Zstandard 1, bytes": BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    "Zstandard 1, bits": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
    "Zstandard 3, bits": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
    "Gzip 1": GzipCodec(level=1),
}
"""Codecs by name. "bytes" and "bits" name the shuffle filter before the codec."""
QUICK = (PLAIN, "LZ4", "Zstandard -1", "Zstandard 1")
ARRAYS = ("frames", "stft_16", "mfcc_16")
"""Measured arrays. The 8-frame ones hold the same numbers in windows twice as long."""
SHARD_CLIPS = 16


def measure(quick: bool) -> list[Figure]:
    """Measure each codec on one shard of every array."""
    store = Store(prepare_store(QUICK_ACTORS if quick else ACTORS))
    rows = np.random.default_rng(0).permutation(len(store))[:SHARD_CLIPS].tolist()
    codecs = {k: v for k, v in CODECS.items() if not quick or k in QUICK}
    rounds = 2 if quick else 5
    figures = []
    for name in ARRAYS:
        block = store.read_batch(name, rows)
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            figures += array_figures(name, block, codecs, Path(folder), rounds)
    return figures


def array_figures(
    name: str,
    block: NDArray[Any],
    codecs: dict[str, Codec | None],
    folder: Path,
    rounds: int,
) -> list[Figure]:
    """Write and read one shard of one array with every codec."""
    writes: dict[str, Callable[[], object]] = {
        key: partial(write, block, folder / key, codec) for key, codec in codecs.items()
    }
    write_s = interleaved(writes, rounds=rounds, clock=time.process_time)
    reads: dict[str, Callable[[], object]] = {
        key: partial(read, zarr.open_array(folder / key, mode="r"), block.shape)
        for key in codecs
    }
    read_s = interleaved(reads, rounds=2 * rounds, clock=time.process_time)
    clips, figures = len(block), []
    for key in codecs:
        size = sum(f.stat().st_size for f in (folder / key).rglob("*") if f.is_file())
        rows = [("size", size / clips / 1000, "kB/clip")]
        for operation, times in ("write", write_s), ("read", read_s):
            rows += [(operation, 1000 * median(times[key]) / clips, "ms/clip")]
            if key != PLAIN:
                rows += [(f"{operation} / {PLAIN}", ratio(times, key, PLAIN), "x")]
        figures += [
            Figure(
                name=f"{name}, {key}: {label}", value=value, unit=unit, better="less"
            )
            for label, value, unit in rows
        ]
    return figures


def write(block: NDArray[Any], out: Path, codec: Codec | None) -> None:
    """Write one shard of clips."""
    shutil.rmtree(out, ignore_errors=True)
    array = zarr.create_array(
        out,
        shape=block.shape,
        dtype=block.dtype,
        chunks=(1, *block.shape[1:]),
        shards=block.shape,
        compressors=codec,  # type: ignore[arg-type]
    )
    with zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1}):
        array[:] = block


def read(array: zarr.Array[Any], shape: tuple[int, ...]) -> None:
    """Read the clips one by one, as the store does.

    Codecs that the store's reader does not support are read by Zarr.
    """
    reader, out = create_reader(array), np.empty((1, *shape[1:]), array.dtype)
    for row in range(shape[0]):
        reader.read([row], out)


if __name__ == "__main__":
    main(measure)
