"""Batches do not depend on the number of reader processes."""

import numpy as np
import torch

from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_train.data import dataset, loader, selection
from mmder_train.data.sampler import BatchSampler
from mmder_train.fusion.strategies import STRATEGIES


def test_batches_are_the_same_for_any_number_of_workers(store: Store) -> None:
    strategy = STRATEGIES["audio"]
    labels = LABEL_SETS["ravdess-7"]
    clips = selection.select_clips(store, strategy=strategy, labels=labels)
    data = dataset.ClipDataset(
        store, clips=clips, strategy=strategy, spectrogram="mfcc"
    )
    sampler = BatchSampler(np.arange(len(clips.row)), batch_size=3, seed=0)
    in_process, in_worker = (
        list(loader.BatchLoader(data, sampler, workers=n, pin=False)) for n in (0, 1)
    )
    assert [len(batch["clip"]) for batch in in_process] == [3, 3, 2]
    for a, b in zip(in_process, in_worker, strict=True):
        assert torch.equal(a["clip"], b["clip"])
        assert torch.equal(a["audio"], b["audio"])
