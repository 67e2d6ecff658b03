"""Data loader of stored clips."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmder_store.errors import MmderError
from mmder_train.data.sampler import BatchSampler


@runtime_checkable
class Batched(Protocol):
    """A dataset that reads a batch of clips at once."""

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return the clips at these positions."""
        ...


class BatchLoader:
    """Batches of stored clips, read again in each iteration."""

    def __init__(
        self, dataset: Batched, sampler: BatchSampler, *, workers: int, pin: bool
    ) -> None:
        """Create a loader of batches in the sampler's order.

        The last batch may be smaller, and no clip is repeated to fill it.

        Args:
            dataset: Clips to read.
            sampler: Order of the clips. It may be changed between two iterations.
            workers: Number of reading processes. 0 reads in the current process.
            pin: True if batches are placed in memory that a GPU copies from directly.
        """
        worker_options: dict[str, Any] = (
            # Spawned: a fork would copy zarr's threads, which do not survive a fork.
            {"multiprocessing_context": "spawn", "persistent_workers": True}
            if workers
            else {}
        )
        self.sampler = sampler
        self._batches = DataLoader(
            _ErrorsAsBatches(dataset),
            batch_sampler=sampler,
            collate_fn=_keep_batch,
            num_workers=workers,
            pin_memory=pin,
            # Its own generator: each pass would draw from the model's otherwise.
            generator=torch.Generator(),
            **worker_options,
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batches.

        Raises:
            MmderError: If a clip cannot be used. It is the error of the reading
                process, without that process's traceback in its text.
        """
        for batch in self._batches:
            if isinstance(batch, MmderError):
                raise batch
            yield batch


class _ErrorsAsBatches(Dataset[Any]):
    """A dataset that returns errors, because torch rewrites those that are raised."""

    def __init__(self, dataset: Batched) -> None:
        self.dataset = dataset

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor] | MmderError:
        try:
            return self.dataset.__getitems__(index)
        except MmderError as error:
            return error


def _keep_batch(batch: object) -> object:
    """Return a batch as it was read; torch would collate single clips."""
    return batch
