"""Batches cover each epoch once, in a new order, for any number of processes."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmder_train.data.sampler import BatchSampler
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
