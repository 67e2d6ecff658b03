"""Batches for training: threads of the trainer against workers of a DataLoader.

Two threads read the clips of CFAS in shuffled batches of 16. Two spawned workers of
PyTorch's DataLoader read the same clips through `FusionDataset`. Both read from the
page cache, and wall time is measured: until the first batch, and for later epochs.
"""

import time
from collections.abc import Iterable
from statistics import median
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from data import ACTORS, QUICK_ACTORS, prepare_store
from mmder_store import Store
from mmder_train import FusionDataset
from mmder_train.data.loader import BatchLoader
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.runtime.memory import keep_freed_memory
from record import Figure, main

NUMBER = 2
"""Number of threads, and of workers."""
BATCH = 16
EPOCHS = 4
"""Epochs that are read. The first one is not part of the speed."""
THREADS, WORKERS, CALLER = "threads", "worker processes", "no threads"


def measure(quick: bool) -> list[Figure]:
    """Time all ways on the same clips, one after the other in each round."""
    keep_freed_memory()  # as in the program
    store = Store(prepare_store(QUICK_ACTORS if quick else ACTORS))
    first: dict[str, list[float]] = {THREADS: [], WORKERS: [], CALLER: []}
    speed: dict[str, list[float]] = {name: [] for name in first}
    for _ in range(1 if quick else 3):
        for name in first:
            first_s, clips_per_s = time_way(store, name)
            first[name].append(first_s)
            speed[name].append(clips_per_s)
    return [
        Figure(
            name="first batch of worker processes by threads",
            value=median_ratio(first[WORKERS], first[THREADS]),
            unit="x",
            better="more",
            goal=5.0,
        ),
        Figure(
            name="speed of threads by worker processes",
            value=median_ratio(speed[THREADS], speed[WORKERS]),
            unit="x",
            better="more",
            goal=1.0,
        ),
        *[
            Figure(
                name=f"{name}: first batch",
                value=median(first[name]),
                unit="s",
                better="less",
            )
            for name in first
        ],
        *[
            Figure(
                name=f"{name}: speed",
                value=median(speed[name]),
                unit="clips/s",
                better="more",
            )
            for name in speed
        ],
    ]


def time_way(store: Store, name: str) -> tuple[float, float]:
    """Return the seconds to the first batch, and the clips per second of an epoch."""
    start = time.perf_counter()
    if name == WORKERS:
        dataset = FusionDataset(store, strategy="cfas", fused=False)
        return time_epochs(
            DataLoader(
                dataset,
                batch_size=BATCH,
                shuffle=True,
                num_workers=NUMBER,
                multiprocessing_context="spawn",
                persistent_workers=True,
            ),
            start,
        )
    strategy = STRATEGIES["cfas"]
    clips = select_clips(store, strategy=strategy, labels=store.spec.label_sets[0])
    arrays = ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram="stft",
    )
    sampler = BatchSampler(np.arange(len(clips.row)), batch_size=BATCH, seed=0)
    with ReaderThreads(NUMBER if name == THREADS else 0) as readers:
        return time_epochs(BatchLoader(arrays, sampler, readers=readers), start)


def time_epochs(batches: Iterable[Any], start: float) -> tuple[float, float]:
    """Read some epochs, and time them from the start of the first one."""
    first_s, speeds = 0.0, []
    for epoch in range(EPOCHS):
        begun, clips = time.perf_counter(), 0
        for batch in batches:
            first_s = first_s or time.perf_counter() - start
            clips += len(batch["frames"])
        if epoch:
            speeds.append(clips / (time.perf_counter() - begun))
    return first_s, median(speeds)


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Return the median over the rounds of one value divided by another."""
    pairs = zip(numerators, denominators, strict=True)
    return median(a / b for a, b in pairs)


if __name__ == "__main__":
    main(measure)
