"""Speed of reading clips from the store, compared with other storage formats.

Two tasks run in one process: single clips in random order, each freed before the next
is read or all kept; and an epoch of shuffled batches of 16. In the warm runs all files
are in the page cache, and CPU time is measured. In the cold runs none of the files is,
and wall time is measured. Pages are dropped with posix_fadvise; the caches of the disk
and of a virtual machine's host are not under control.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from data import ACTORS, DATA, QUICK_ACTORS, prepare_store, recode_store
from mmder_store import Store
from mmder_train.data.loader import BatchLoader
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.strategies import STRATEGIES
from record import Figure, Times, interleaved, main, ratio
from storage_formats import BATCH, QUICK, STORAGE_FORMATS, Arrays, Reader

OURS, LZ4, ZARR = "store", "store in LZ4", "store by Zarr"
"""Variants of the store.

As `mmder-prep` writes it, with the arrays read here uncompressed; with all arrays in
LZ4; and as written, but read by Zarr in place of our reader.
"""
LIMIT = "memmap"
NAMES = {"frames": "frames", "sound": "mfcc_16"}
"""Arrays of a clip that CFAS reads."""
READS = 24
"""Number of single clips read per round."""
READ_ROUNDS = 15
"""Number of rounds of single clips. Short tasks are noisy and need more rounds."""
PROBE_BYTES = 1 << 18
"""Distance between two positions of a file that are looked up in the page cache."""
MAX_CACHED = 0.05
"""Fraction of a folder that may stay in the page cache after it was dropped.

The kernel does not always release pages that were just read.
"""


def store_reader(path: Path) -> Reader:
    """Return a reader of a store that reads as the trainer does."""
    store, strategy = Store(path), STRATEGIES["cfas"]
    clips = select_clips(store, strategy=strategy, labels=store.spec.label_sets[0])
    data = ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram="mfcc",
    )

    def epoch(order: Sequence[int]) -> Iterable[Any]:
        rows = BatchSampler(np.array(order), batch_size=BATCH)
        return BatchLoader(data, rows)

    return Reader(
        epoch=epoch,
        read=lambda row: {k: store.read(v, row) for k, v in NAMES.items()},
    )


def zarr_reader(path: Path) -> Reader:
    """Return a reader of a store that reads clip after clip with Zarr itself."""
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    arrays: Any = {name: group[array] for name, array in NAMES.items()}

    def read(row: int) -> Arrays:
        return {name: array[row] for name, array in arrays.items()}

    def epoch(order: Sequence[int]) -> Iterable[Any]:
        for start in range(0, len(order), BATCH):
            clips = [read(row) for row in order[start : start + BATCH]]
            yield {k: np.stack([clip[k] for clip in clips]) for k in NAMES}

    return Reader(epoch=epoch, read=read)


def write_all(
    path: Path, folder: Path, *, quick: bool
) -> dict[str, tuple[Path, Reader]]:
    """Write a store's clips in every format; return folder and reader by name."""
    lz4 = recode_store(
        path, folder / "lz4", BloscCodec(cname="lz4", shuffle="noshuffle")
    )
    store = Store(path)
    clips = {k: store.read_batch(v, range(len(store))) for k, v in NAMES.items()}
    readers = {
        OURS: (path, store_reader(path)),
        LZ4: (lz4, store_reader(lz4)),
        ZARR: (path, zarr_reader(path)),
    }
    for storage in STORAGE_FORMATS:
        if quick and storage.name not in QUICK:
            continue
        out = folder / storage.name
        out.mkdir()
        storage.write(out, clips)
        readers[storage.name] = out, storage.open(out)
    order = list(range(len(clips["frames"])))
    for name, (_, reader) in readers.items():
        check(name, reader, clips, order)
    os.sync()  # pages that are not yet written to disk cannot be dropped
    for out, reader in readers.values():
        reader.close()
        warm(out)
    return readers


def check(name: str, reader: Reader, clips: Arrays, order: list[int]) -> None:
    """Exit with an error if a reader returns other clips than were written."""
    if reader.read is not None:
        for key, values in clips.items():
            if not np.array_equal(reader.read(order[-1])[key], values[-1]):
                sys.exit(f"{name}: the clip read differs from the clip written")
    expected = sorted(int(v.sum(dtype=np.int64)) for v in clips["frames"])
    # A batch is valid until the next one, so each is added up at once.
    found = [
        int(np.asarray(frames).sum(dtype=np.int64))
        for batch in reader.epoch(order)
        for frames in batch["frames"]
    ]
    if sorted(found) != expected:
        sys.exit(f"{name}: an epoch does not hold every clip exactly once")


def warm(folder: Path) -> None:
    """Bring all files of a folder into the page cache in the same manner.

    The reading speed depends on that: files read in scattered pieces are cached in
    small pages, and reading them takes 1.6 times as long.
    """
    drop(folder)
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def drop(folder: Path) -> None:
    """Drop the files of a folder from the page cache; exit if many pages stay."""
    cached = probed = 0
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for position in range(0, file.stat().st_size, PROBE_BYTES):
            probed += 1
            with suppress(BlockingIOError):
                os.preadv(descriptor, [bytearray(1)], position, os.RWF_NOWAIT)
                cached += 1
        os.close(descriptor)
    if cached > MAX_CACHED * probed:
        sys.exit(
            f"{folder}: {cached / probed:.0%} of it stays in memory: still mapped?"
        )


def exhaust(clips: Iterable[Any]) -> None:
    """Iterate over clips or batches, and keep none."""
    for _ in clips:
        pass


def measure(quick: bool) -> list[Figure]:
    """Measure all formats on the same clips, interleaved."""
    path = prepare_store(QUICK_ACTORS if quick else ACTORS)
    clips, rounds = len(Store(path)), 5 if quick else 7
    order = np.random.default_rng(0).permutation(clips).tolist()
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        readers = write_all(path, Path(folder), quick=quick)
        figures: list[Figure] = []
        cpu = time.process_time  # warm reads wait for nothing
        for label, consume in ("one clip", exhaust), ("one clip, kept", list):
            singles: dict[str, Callable[[], object]] = {
                name: partial(
                    lambda consume, read: consume(map(read, order[:READS])),
                    consume,
                    reader.read,
                )
                for name, (_, reader) in readers.items()
                if reader.read is not None
            }
            times = interleaved(singles, rounds=READ_ROUNDS, clock=cpu)
            figures += speed_figures(f"{label}, warm", times, READS)
        epochs: dict[str, Callable[[], object]] = {
            name: partial(lambda reader: exhaust(reader.epoch(order)), reader)
            for name, (_, reader) in readers.items()
        }
        warm_times = interleaved(epochs, rounds=rounds, clock=cpu)
        figures += speed_figures("batches, warm", warm_times, clips)
        if not quick:

            def chill(name: str) -> None:
                out, reader = readers[name]
                reader.close()
                drop(out)

            cold_times = interleaved(epochs, rounds=rounds, before=chill)
            figures += speed_figures("batches, cold", cold_times, clips)
    return figures


def speed_figures(label: str, times: Times, clips: int) -> list[Figure]:
    """Return times per clip, and the store's speed relative to each other format."""
    figures = [
        Figure(
            name=f"{label}: {name}",
            value=1000 * median(values) / clips,
            unit="ms/clip",
            better="less",
        )
        for name, values in times.items()
    ]
    warm = label.endswith("warm")
    figures += [
        Figure(
            name=f"{label}: speed of the store by {name}",
            value=ratio(times, name, OURS),
            unit="x",
            better="more",
            goal=(0.6 if name == LIMIT else 1.0) if warm else None,
        )
        for name in times
        if name != OURS
    ]
    return figures


if __name__ == "__main__":
    main(measure)
