"""Batches cover each epoch once, in a new order, for any number of processes."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmder_train.data.sampler import BatchSampler, draw_balanced
from mmder_train.runtime.distributed import WorldInfo


def test_each_epoch_has_all_clips_in_a_new_order() -> None:
    sampler = BatchSampler(np.arange(10, 40), batch_size=7, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    assert len(first) == len(sampler) == 5
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert (
        sorted(itertools.chain(*sampler))
        == sorted(itertools.chain(*first))
        == list(range(10, 40))
    )


def test_balanced_draws_have_all_classes_equally_often() -> None:
    """Of 300 clips 240, 54 and 6 are of the three classes; each is drawn 100 times."""
    labels = np.repeat([2, 0, 5], [240, 54, 6])
    index = np.arange(1000, 1300)
    drawn = [
        draw_balanced(index, labels, seed=3, epoch=epoch) - 1000 for epoch in range(50)
    ]
    assert all(len(epoch) == 300 for epoch in drawn)
    counts = np.array([np.bincount(labels[e], minlength=6)[[0, 2, 5]] for e in drawn])
    # The standard deviation of the mean of 50 draws is 1.2.
    assert np.abs(counts.mean(axis=0) - 100).max() < 5
    assert np.abs(counts.std(axis=0) - np.sqrt(300 * 2 / 9)).max() < 3
    assert not np.array_equal(drawn[0], drawn[1])
    again = draw_balanced(index, labels, seed=3, epoch=0) - 1000
    assert np.array_equal(drawn[0], again)


def test_a_balanced_epoch_resumes_after_some_batches() -> None:
    index = np.arange(30)
    sampler = BatchSampler(index, batch_size=7, seed=3, labels=index // 25)
    whole = list(sampler)
    assert len(whole) == len(sampler) == 5
    sampler.set_epoch(0, start_batch=2)
    assert list(sampler) == whole[2:]


def test_an_epoch_resumes_after_some_batches() -> None:
    sampler = BatchSampler(np.arange(30), batch_size=7, seed=3)
    whole = list(sampler)
    sampler.set_epoch(0, start_batch=2)
    assert list(sampler) == whole[2:]
    assert sampler.sizes() == [7, 7, 2]


@given(
    clips=st.integers(1, 40), batch_size=st.integers(1, 9), processes=st.integers(1, 5)
)
def test_processes_share_every_batch(
    clips: int, batch_size: int, processes: int
) -> None:
    index = np.arange(clips)
    whole = list(BatchSampler(index, batch_size=batch_size, seed=1))
    worlds = [WorldInfo(rank=rank, world_size=processes) for rank in range(processes)]
    parts = [
        list(BatchSampler(index, batch_size=batch_size, seed=1, world=world))
        for world in worlds
    ]
    for number, batch in enumerate(whole):
        own = [
            part[number]
            for part, world in zip(parts, worlds, strict=True)
            if world.has_own_clip(len(batch))
        ]
        assert all(part[number] for part in parts)
        assert sorted(itertools.chain(*own)) == sorted(batch)
