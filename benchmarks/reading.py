"""Clips read from the store, and from what others keep them in.

Clips at random, each let go before the next or all kept, then an epoch of shuffled
batches of 16, in one process. Warm, the page cache holds all, and CPU time counts.
Cold, it holds nothing of what is read, and the wall's clock counts. Pages are dropped
with posix_fadvise: what the disk and the host of a virtual machine hold is not
controlled.
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

from data import ACTORS, DATA, QUICK_ACTORS, recoded, store
from mmder_store import Store
from mmder_train.data.dataset import ClipDataset
from mmder_train.data.loader import create_loader
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
from mmder_train.fusion.strategies import STRATEGIES
from record import Figure, Times, interleaved, main, ratio
from rivals import BATCH, QUICK, RIVALS, Arrays, Reader

OURS, LZ4, ZARR = "store", "store in LZ4", "store by Zarr"
"""As `mmder-prep` writes it, what is read here uncompressed; all in LZ4; and the first
without our reader."""
LIMIT = "memmap"
NAMES = {"frames": "frames", "sound": "mfcc_16"}
"""What CFAS takes of a clip."""
READS = 24
"""Clips read one by one in a round."""
READ_ROUNDS = 15
"""Rounds of those: what is short is noisy."""
LOOK_BYTES = 1 << 18
"""From one place of a file that is looked up in the page cache to the next."""
STAYS = 0.05
"""Share of a folder that may stay there: what was just read is not always let go."""


def reader(path: Path) -> Reader:
    """Give a store as the trainer reads it."""
    opened, strategy = Store(path), STRATEGIES["cfas"]
    found = select_clips(opened, strategy=strategy, labels=opened.spec.label_sets[0])
    data = ClipDataset(opened, clips=found, strategy=strategy, audio="mfcc")

    def epoch(order: Sequence[int]) -> Iterable[Any]:
        rows = BatchSampler(np.array(order), batch=BATCH)
        return create_loader(data, rows, workers=0, pin=False)

    return Reader(
        epoch=epoch,
        read=lambda row: {k: opened.read(v, row) for k, v in NAMES.items()},
    )


def by_zarr(path: Path) -> Reader:
    """Give a store as Zarr itself reads it, one clip after the other."""
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    arrays: Any = {name: group[held] for name, held in NAMES.items()}

    def read(row: int) -> Arrays:
        return {name: array[row] for name, array in arrays.items()}

    def epoch(order: Sequence[int]) -> Iterable[Any]:
        for start in range(0, len(order), BATCH):
            each = [read(row) for row in order[start : start + BATCH]]
            yield {k: np.stack([clip[k] for clip in each]) for k in NAMES}

    return Reader(epoch=epoch, read=read)


def opened(path: Path, folder: Path, *, quick: bool) -> dict[str, tuple[Path, Reader]]:
    """Write the clips of a store in every way, and give folder and reader of each."""
    lz4 = recoded(path, folder / "lz4", BloscCodec(cname="lz4", shuffle="noshuffle"))
    here = Store(path)
    clips = {k: here.read_batch(v, range(len(here))) for k, v in NAMES.items()}
    found = {
        OURS: (path, reader(path)),
        LZ4: (lz4, reader(lz4)),
        ZARR: (path, by_zarr(path)),
    }
    for rival in RIVALS:
        if quick and rival.name not in QUICK:
            continue
        place = folder / rival.name
        place.mkdir()
        rival.write(place, clips)
        found[rival.name] = place, rival.open(place)
    order = list(range(len(clips["frames"])))
    for name, (_, one) in found.items():
        check(name, one, clips, order)
    os.sync()  # pages that are not yet written cannot be dropped
    for place, one in found.values():
        one.let_go()
        warm(place)
    return found


def check(name: str, one: Reader, clips: Arrays, order: list[int]) -> None:
    """Stop where a reader gives other clips than went in."""
    if one.read is not None:
        for key, values in clips.items():
            if not np.array_equal(one.read(order[-1])[key], values[-1]):
                sys.exit(f"{name}: another clip read than written")
    want = sorted(int(v.sum(dtype=np.int64)) for v in clips["frames"])
    got = [np.asarray(f) for batch in one.epoch(order) for f in batch["frames"]]
    if sorted(int(v.sum(dtype=np.int64)) for v in got) != want:
        sys.exit(f"{name}: an epoch is not every clip once")


def warm(folder: Path) -> None:
    """Bring files into the page cache alike: how they came there shows in their speed.

    What was read here and there lies in small pages, and takes 1.6 times as long.
    """
    drop(folder)
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def drop(folder: Path) -> None:
    """Take the files of a folder out of the page cache; stop if much stays in it."""
    stays = looked = 0
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        held = os.open(file, os.O_RDONLY)
        os.posix_fadvise(held, 0, 0, os.POSIX_FADV_DONTNEED)
        for place in range(0, file.stat().st_size, LOOK_BYTES):
            looked += 1
            with suppress(BlockingIOError):
                os.preadv(held, [bytearray(1)], place, os.RWF_NOWAIT)
                stays += 1
        os.close(held)
    if stays > STAYS * looked:
        sys.exit(f"{folder}: {stays / looked:.0%} of it stays in memory: still mapped?")


def let_go(clips: Iterable[Any]) -> None:
    """Go through clips or batches, and keep none."""
    for _ in clips:
        pass


def measure(quick: bool) -> list[Figure]:
    """Measure all of them on the same clips in turn."""
    path = store(QUICK_ACTORS if quick else ACTORS)
    clips, rounds = len(Store(path)), 5 if quick else 7
    order = np.random.default_rng(0).permutation(clips).tolist()
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        found = opened(path, Path(folder), quick=quick)
        figures: list[Figure] = []
        cpu = time.process_time  # warm, nothing is waited for
        for what, take in ("one clip", let_go), ("one clip, kept", list):
            singles: dict[str, Callable[[], object]] = {
                name: partial(
                    lambda take, read: take(map(read, order[:READS])), take, one.read
                )
                for name, (_, one) in found.items()
                if one.read is not None
            }
            times = interleaved(singles, rounds=READ_ROUNDS, clock=cpu)
            figures += table(f"{what}, warm", times, READS)
        epochs: dict[str, Callable[[], object]] = {
            name: partial(lambda one: let_go(one.epoch(order)), one)
            for name, (_, one) in found.items()
        }
        each = interleaved(epochs, rounds=rounds, clock=cpu)
        figures += table("batches, warm", each, clips)
        if not quick:

            def chill(name: str) -> None:
                place, one = found[name]
                one.let_go()
                drop(place)

            cold = interleaved(epochs, rounds=rounds, before=chill)
            figures += table("batches, cold", cold, clips)
    return figures


def table(what: str, times: Times, clips: int) -> list[Figure]:
    """Give times a clip, and the store's speed by that of the others."""
    figures = [
        Figure(
            name=f"{what}: {name}",
            value=1000 * median(values) / clips,
            unit="ms/clip",
            better="less",
        )
        for name, values in times.items()
    ]
    warm = what.endswith("warm")
    figures += [
        Figure(
            name=f"{what}: speed of the store by {name}",
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
