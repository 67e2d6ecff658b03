"""States of several processes, packed into one checkpoint."""

import pytest
import torch

from mmder_train.training.process_state import ProcessState, pack, unpack


def make_state(rank: int) -> ProcessState:
    return ProcessState(
        loss_sum=0.1 * (rank + 1),
        clips=10 + rank,
        cpu_rng=torch.full((4,), rank, dtype=torch.uint8),
        gpu_rng=None,
        further=(0.5 * rank, 1.0),
    )


def test_the_same_number_of_processes_gets_its_states_back() -> None:
    tensors, facts = pack([make_state(rank) for rank in range(3)])
    for rank in range(3):
        state = unpack(tensors, facts, rank=rank, world_size=3)
        expected = make_state(rank)
        # Every bit, for a resumed run that equals an uninterrupted one.
        assert state.loss_sum == expected.loss_sum
        assert state.clips == expected.clips
        assert state.further == expected.further
        assert state.cpu_rng is not None
        assert torch.equal(state.cpu_rng, expected.cpu_rng)  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_another_number_of_processes_keeps_the_sums(processes: int) -> None:
    tensors, facts = pack([make_state(rank) for rank in range(3)])
    states = [
        unpack(tensors, facts, rank=rank, world_size=processes)
        for rank in range(processes)
    ]
    assert sum(s.clips for s in states) == 33
    assert [
        sum(column) for column in zip(*(s.further for s in states), strict=True)
    ] == [
        1.5,
        3.0,
    ]
    assert sum(s.loss_sum for s in states) == pytest.approx(0.6)
    assert [s.cpu_rng is None for s in states] == [r > 2 for r in range(processes)]
