"""TODO."""

from collections.abc import Iterator, Sized

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Sampler

from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo


def shuffle(
    index: Int64[np.ndarray, " clip"], *, seed: int, epoch: int
) -> Int64[np.ndarray, " clip"]:
    """Give all positions in the order of this epoch, whoever reads them."""
    return np.random.default_rng([seed, epoch]).permutation(index)


class BatchSampler(Sampler[list[int]], Sized):
    """Batches of positions, in a new order each epoch if a seed is given.

    Order and batches are the same for any number of readers and of processes that
    train together; each process gets its part of every batch.
    """

    def __init__(
        self,
        index: Int64[np.ndarray, " clip"],
        *,
        batch: int,
        seed: int | None = None,
        group: WorldInfo = SINGLE_PROCESS,
    ) -> None:
        """Take the positions as they come, or shuffle them all by seed and epoch.

        Args:
            index: Positions of the clips.
            batch: Clips in a batch, in all processes.
            seed: None for the order of `index`.
            group: The processes that share each batch.
        """
        self.index = index
        self.batch = batch
        self.seed = seed
        self.group = group
        self.epoch = 0
        self.skip = 0
        """Batches at the beginning that are left out."""

    def sizes(self) -> list[int]:
        """Count the clips of each batch that is not left out, in all processes."""
        starts = range(self.skip * self.batch, len(self.index), self.batch)
        return [min(self.batch, len(self.index) - start) for start in starts]

    def __iter__(self) -> Iterator[list[int]]:
        """Go once over the batches; a part may be empty, and none is repeated."""
        order = self.index
        if self.seed is not None:
            order = shuffle(self.index, seed=self.seed, epoch=self.epoch)
        for start in range(self.skip * self.batch, len(order), self.batch):
            yield self.group.shard(order[start : start + self.batch].tolist())

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return -(-len(self.index) // self.batch)
