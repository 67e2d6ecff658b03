"""The part of a training state that differs between processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

CPU_RNG, GPU_RNG = "random.cpu.", "random.cuda."
"""Prefixes of the names of random states. The rank follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessState:
    """Random states and loss of one training process."""

    loss_sum: float
    """Sum of the losses of the process's clips in the current epoch."""
    clips: int
    """Number of these clips."""
    cpu_rng: Tensor | None
    """State of torch's generator on the CPU. None keeps the current one."""
    gpu_rng: Tensor | None
    """State of torch's generator on the GPU. None if there is none."""
    further: tuple[float, ...] = ()
    """Other sums over the process's clips in the current epoch."""


def pack(states: Sequence[ProcessState]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all processes, by rank, as tensors and JSON values."""
    tensors = {}
    for rank, state in enumerate(states):
        for prefix, rng in ((CPU_RNG, state.cpu_rng), (GPU_RNG, state.gpu_rng)):
            if rng is not None:
                tensors[f"{prefix}{rank}"] = rng
    facts = {
        # As hexadecimal text, which keeps every bit.
        "loss_sums": [state.loss_sum.hex() for state in states],
        "clips": [state.clips for state in states],
        "further": [[value.hex() for value in state.further] for state in states],
    }
    return tensors, facts


def unpack(
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    *,
    rank: int,
    world_size: int,
) -> ProcessState:
    """Return the state of one process from the result of `pack`.

    With another number of processes than packed, the first process has the sums of all.
    A process without a saved random state keeps its own.

    Args:
        tensors: Random states.
        facts: Losses and numbers of clips.
        rank: Rank of the process.
        world_size: Number of processes now.

    Raises:
        KeyError, ValueError, TypeError: If the values are not those of `pack`.
    """
    loss_sums = [float.fromhex(text) for text in facts["loss_sums"]]
    clips = [int(number) for number in facts["clips"]]
    further = [tuple(map(float.fromhex, texts)) for texts in facts["further"]]
    if world_size != len(loss_sums):
        rest = world_size - 1
        loss_sums, clips = [sum(loss_sums), *[0.0] * rest], [sum(clips), *[0] * rest]
        total = tuple(map(sum, zip(*further, strict=True)))
        further = [total, *[tuple(0.0 for _ in total)] * rest]
    return ProcessState(
        loss_sum=loss_sums[rank],
        clips=clips[rank],
        cpu_rng=tensors.get(f"{CPU_RNG}{rank}"),
        gpu_rng=tensors.get(f"{GPU_RNG}{rank}"),
        further=further[rank],
    )
