"""Batches are the stored clips in order, for any number of threads and what is held."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_train.data import loader
from mmder_train.data.device_copies import DeviceCopies
from mmder_train.data.held_clips import HeldClips
from mmder_train.data.loader import BatchLoader
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
from mmder_train.data.stored_arrays import ClipArrays, RowSpec, StoreRows
from mmder_train.fusion.strategies import STRATEGIES

Counts = Counter[tuple[str, int]]


@pytest.fixture(scope="module")
def av_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of 19 clips in three shards."""
    path = tmp_path_factory.mktemp("loader") / "s.zarr"
    return make_store(path, clips=19, speakers=3)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Return how often each clip of each array has been read."""
    counts: Counts = Counter()
    original = Store.read_batch

    def counted(self: Store, name: str, rows: Sequence[int], out: Any = None) -> Any:
        counts.update((name, row) for row in rows)
        return original(self, name, rows, out)

    monkeypatch.setattr(Store, "read_batch", counted)
    return counts


def clip_arrays(store: Store, name: str) -> ClipArrays:
    strategy = STRATEGIES[name]
    clips = select_clips(store, strategy=strategy, labels=LABEL_SETS["ravdess-7"])
    return ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram="mfcc",
    )


def kept(batches: Iterable[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Return copies of all batches, whose memory is used again."""
    return [{k: v.clone() for k, v in batch.items()} for batch in batches]


def assert_as_stored(
    batches: Sequence[dict[str, Tensor]], clips: ClipArrays, sampler: BatchSampler
) -> None:
    """Compare batches with a plain read of the store."""
    assert [b["clip"].tolist() for b in batches] == list(sampler)
    for batch in batches:
        expected = clips.read(batch["clip"].tolist())
        assert set(batch) == set(expected)
        for key, values in expected.items():
            assert torch.equal(batch[key], values)


@pytest.fixture(params=[0, 1, 3], ids="{} threads".format)
def readers(request: pytest.FixtureRequest) -> Iterable[ReaderThreads]:
    with ReaderThreads(request.param) as threads:
        yield threads


@pytest.mark.parametrize("held", [(), ("frames", "mfcc_8"), ("frames",)])
def test_batches_are_the_stored_clips_in_the_order_of_each_epoch(
    av_store: Store, readers: ReaderThreads, held: tuple[str, ...], reads: Counts
) -> None:
    clips = clip_arrays(av_store, "ffls")
    index = np.arange(len(clips.rows))
    sampler = BatchSampler(index, batch_size=5, seed=0)
    batches = BatchLoader(
        clips,
        sampler,
        readers=readers,
        held=HeldClips(clips.reader, rows=clips.rows, names=held) if held else None,
    )
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert_as_stored(kept(batches), clips, sampler)
    # Each comparison above has read each clip as well.
    for name in ("frames", "mfcc_8"):
        expected = 3 + (1 if name in held else 3)
        assert {reads[name, int(row)] for row in clips.rows} == {expected}


def test_a_resumed_epoch_and_other_clips_use_the_same_loader(
    av_store: Store, readers: ReaderThreads
) -> None:
    clips = clip_arrays(av_store, "cfas")
    sampler = BatchSampler(np.arange(9), batch_size=2, seed=1)
    batches = BatchLoader(clips, sampler, readers=readers)
    sampler.set_epoch(2, start_batch=3)
    assert_as_stored(kept(batches), clips, sampler)
    sampler.set_epoch(0)
    sampler.set_index(np.array([12, 3, 4, 15, 8]), batch_size=4)
    assert_as_stored(kept(batches), clips, sampler)


def test_at_most_a_few_batches_are_read_ahead(av_store: Store, reads: Counts) -> None:
    clips = clip_arrays(av_store, "video")
    sampler = BatchSampler(np.arange(12), batch_size=1)
    with ReaderThreads(2) as threads:
        batches = iter(BatchLoader(clips, sampler, readers=threads))
        for taken in range(1, 4):
            next(batches)
            assert sum(reads.values()) <= taken - 1 + loader.BATCHES
        batches.close()  # type: ignore[attr-defined]
    assert sum(reads.values()) <= 2 + loader.BATCHES


def test_an_iteration_that_ends_early_leaves_no_read_behind(
    av_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the loader begins anew with correct batches."""
    clips = clip_arrays(av_store, "video")
    sampler = BatchSampler(np.arange(12), batch_size=4)
    active, go_on = [], threading.Event()
    original = StoreRows.read_rows

    def slow(self: StoreRows, name: str, rows: Sequence[int], out: Any) -> None:
        active.append(rows)
        if 0 not in [int(r) for r in rows]:
            go_on.wait(20)
        original(self, name, rows, out)
        active.remove(rows)

    with ReaderThreads(2) as threads:
        batches = BatchLoader(clips, sampler, readers=threads)
        with monkeypatch.context() as patch:
            patch.setattr(StoreRows, "read_rows", slow)
            iteration = iter(batches)
            next(iteration)
            threading.Timer(0.1, go_on.set).start()
            iteration.close()  # type: ignore[attr-defined]
            assert not active
        assert_as_stored(kept(batches), clips, sampler)


class Late:
    """Copies that are made when they are waited for, as late as those of a GPU."""

    def __init__(self) -> None:
        self.begun: list[LateCopy] = []

    def host_memory(self, spec: RowSpec, clips: int) -> Tensor:
        return spec.empty(clips)

    def device_memory(self, spec: RowSpec, clips: int) -> Tensor:
        return spec.empty(clips).fill_(7)

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> "LateCopy":
        self.begun.append(LateCopy(pairs))
        return self.begun[-1]


class LateCopy:
    def __init__(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        self.pairs = list(pairs)
        self.lock = threading.Lock()

    def synchronize(self) -> None:
        with self.lock:
            while self.pairs:
                target, source = self.pairs.pop()
                target.copy_(source)


class AtOnce(Late):
    """Copies that are made at once."""

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> LateCopy:
        super().copy(pairs).synchronize()
        return self.begun[-1]


def test_memory_is_not_written_before_its_copies_have_ended(
    av_store: Store, readers: ReaderThreads
) -> None:
    clips = clip_arrays(av_store, "sfas")
    sampler = BatchSampler(np.arange(len(clips.rows)), batch_size=3, seed=0)
    copies = Late()
    batches = list(BatchLoader(clips, sampler, readers=readers, copies=copies))
    for copy in copies.begun:
        copy.synchronize()
    # Batches on a device have memory of their own.
    assert_as_stored(batches, clips, sampler)


@pytest.mark.parametrize("copies", [None, AtOnce()], ids=["host", "device"])
def test_strategies_share_what_is_held(
    av_store: Store,
    readers: ReaderThreads,
    reads: Counts,
    copies: DeviceCopies | None,
) -> None:
    every = [clip_arrays(av_store, name) for name in STRATEGIES]
    names = {name for clips in every for name in clips.arrays.values()}
    held = HeldClips(
        every[0].reader, rows=every[0].rows[::-1], names=names, copies=copies
    )
    found = []
    for number, clips in enumerate(every):
        seed = number if number % 2 else None
        index = np.arange(len(clips.rows))
        sampler = BatchSampler(index, batch_size=4, seed=seed)
        batches = BatchLoader(clips, sampler, readers=readers, copies=copies, held=held)
        found.append((kept(batches), clips, sampler))
    assert len(reads) == 3 * len(every[0].rows)
    assert set(reads.values()) == {1}
    for batch, clips, sampler in found:
        assert_as_stored(batch, clips, sampler)


@pytest.mark.parametrize("copies", [None, AtOnce()], ids=["host", "device"])
def test_an_evaluation_and_training_fill_the_same_arrays(
    av_store: Store, reads: Counts, copies: DeviceCopies | None
) -> None:
    clips = clip_arrays(av_store, "audio")
    held = HeldClips(clips.reader, rows=clips.rows, names=["mfcc_16"], copies=copies)
    sampler = BatchSampler(np.arange(6), batch_size=4)
    batches = BatchLoader(clips, sampler, copies=copies, held=held)
    with torch.inference_mode():
        kept(batches)
    sampler.set_index(np.arange(15), batch_size=4)
    batch = kept(batches)
    assert set(reads.values()) == {1}
    assert_as_stored(batch, clips, sampler)


def test_clips_of_an_unfinished_batch_are_read_again(
    av_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their slots may be empty."""
    clips = clip_arrays(av_store, "video")
    sampler = BatchSampler(np.arange(8), batch_size=4)
    held = HeldClips(clips.reader, rows=clips.rows, names=["frames"])
    original: Callable[..., None] = StoreRows.read_rows

    def fails(self: StoreRows, name: str, rows: Sequence[int], out: Any) -> None:
        if int(clips.rows[6]) in rows:
            msg = "broken"
            raise OSError(msg)
        original(self, name, rows, out)

    with ReaderThreads(2) as threads:
        batches = BatchLoader(clips, sampler, readers=threads, held=held)
        with monkeypatch.context() as patch:
            patch.setattr(StoreRows, "read_rows", fails)
            with pytest.raises(OSError, match="broken"):
                kept(batches)
        assert held.missing("frames", clips.rows[:8]).tolist() == list(clips.rows[4:8])
        assert_as_stored(kept(batches), clips, sampler)
