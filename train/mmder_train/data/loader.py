"""Data loader of stored clips."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmder_train.data.sampler import BatchSampler


def create_loader(
    dataset: Dataset[dict[str, Tensor]],
    sampler: BatchSampler,
    *,
    workers: int,
    pin: bool,
) -> DataLoader[dict[str, Tensor]]:
    """Return a loader of batches in the sampler's order.

    The last batch may be smaller, and no clip is repeated to fill it.

    Args:
        dataset: Clips to read.
        sampler: Order of the clips.
        workers: Number of reading processes. 0 reads in the current process.
        pin: True if batches are placed in memory that a GPU copies from directly.
    """
    worker_options: dict[str, Any] = (
        # Spawned: a fork would copy zarr's threads, which do not survive a fork.
        {"multiprocessing_context": "spawn", "persistent_workers": True}
        if workers
        else {}
    )
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_keep_batch,
        num_workers=workers,
        pin_memory=pin,
        # Its own generator: each pass would draw from the model's generator otherwise.
        generator=torch.Generator(),
        **worker_options,
    )


def _keep_batch(batch: object) -> object:
    """Return a batch as it was read; torch would collate single clips."""
    return batch
