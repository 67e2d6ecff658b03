"""Clips of each epoch, shuffled or drawn by class, and batches of them."""

from collections.abc import Iterator, Sized

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Sampler

from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo


def shuffle(
    index: Int64[np.ndarray, " clip"], *, seed: int, epoch: int
) -> Int64[np.ndarray, " clip"]:
    """Return all indices in the order of an epoch, the same in every process."""
    return np.random.default_rng([seed, epoch]).permutation(index)


def draw_balanced(
    index: Int64[np.ndarray, " clip"],
    labels: Int64[np.ndarray, " clip"],
    *,
    seed: int,
    epoch: int,
) -> Int64[np.ndarray, " clip"]:
    """Return as many indices, drawn so that all classes are equally likely.

    Clips are drawn with replacement, as by torch's ``WeightedRandomSampler``. The draw
    is the same in every process.

    Args:
        index: Indices of the clips.
        labels: Class of each of them.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    _, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    probability = 1 / (len(counts) * counts[position])
    rng = np.random.default_rng([seed, epoch])
    return rng.choice(index, size=len(index), p=probability / probability.sum())


def epoch_order(
    index: Int64[np.ndarray, " clip"],
    labels: Int64[np.ndarray, " clip"] | None,
    *,
    seed: int,
    epoch: int,
) -> Int64[np.ndarray, " clip"]:
    """Return the indices of an epoch in their order.

    Args:
        index: Indices of the clips.
        labels: Class of each of them, to draw all classes equally often. None to
            shuffle the indices.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    if labels is None:
        return shuffle(index, seed=seed, epoch=epoch)
    return draw_balanced(index, labels, seed=seed, epoch=epoch)


class BatchSampler(Sampler[list[int]], Sized):
    """Batches of clip indices, in a new order in each epoch if a seed is set.

    Order and batches do not depend on the number of reader processes or of training
    processes. Each training process receives its part of every batch.
    """

    def __init__(
        self,
        index: Int64[np.ndarray, " clip"],
        *,
        batch_size: int,
        seed: int | None = None,
        labels: Int64[np.ndarray, " clip"] | None = None,
        world: WorldInfo = SINGLE_PROCESS,
    ) -> None:
        """Initialize the sampler at the start of epoch 0.

        Args:
            index: Indices of the clips.
            batch_size: Number of clips per batch, over all processes.
            seed: Seed of the shuffling. None keeps the order of `index`.
            labels: Class of each clip, to draw all classes equally often. None to
                shuffle the clips.
            world: Processes that share each batch.
        """
        self.index = index
        self.batch_size = batch_size
        self.seed = seed
        self.labels = labels
        self.world = world
        self.epoch = 0
        self.start_batch = 0
        """Index of the first batch that is yielded."""

    def set_index(self, index: Int64[np.ndarray, " clip"], *, batch_size: int) -> None:
        """Set other clips, so that a loader and its processes are used again."""
        self.index, self.batch_size = index, batch_size

    def set_epoch(self, epoch: int, *, start_batch: int = 0) -> None:
        """Set the epoch, and the batch to start at when an epoch is resumed."""
        self.epoch, self.start_batch = epoch, start_batch

    def sizes(self) -> list[int]:
        """Return the number of clips of each batch to yield, over all processes."""
        starts = range(
            self.start_batch * self.batch_size, len(self.index), self.batch_size
        )
        return [min(self.batch_size, len(self.index) - start) for start in starts]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's part of each batch of the epoch, once."""
        order = self.index
        if self.seed is not None:
            order = epoch_order(
                self.index, self.labels, seed=self.seed, epoch=self.epoch
            )
        first = self.start_batch * self.batch_size
        for start in range(first, len(order), self.batch_size):
            yield self.world.shard(order[start : start + self.batch_size].tolist())

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return -(-len(self.index) // self.batch_size)
