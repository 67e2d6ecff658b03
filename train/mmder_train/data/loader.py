"""TODO."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmder_train.data.dataset import ClipDataset
from mmder_train.data.sampler import BatchSampler


def create_loader(
    data: ClipDataset, order: BatchSampler, *, workers: int, pin: bool
) -> DataLoader[dict[str, Tensor]]:
    """Give batches in this order; the last may be smaller, and none is repeated.

    Args:
        data: What is read.
        order: Which clips, when.
        workers: Processes that read; 0 reads in this one.
        pin: Whether batches lie in memory that a GPU copies from directly.
    """
    more: dict[str, Any] = (
        # Spawned: a fork would copy zarr's threads, which do not survive one.
        {"multiprocessing_context": "spawn", "persistent_workers": True}
        if workers
        else {}
    )
    return DataLoader(
        data,
        batch_sampler=order,
        collate_fn=_keep_batch,
        num_workers=workers,
        pin_memory=pin,
        # Its own, or each pass would draw from the one that the model draws from.
        generator=torch.Generator(),
        **more,
    )


def _keep_batch(batch: object) -> object:
    """Leave a batch as it was read; torch would make one of single clips."""
    return batch
