"""Items of the dataset equal the stored arrays, preloaded or not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import StoreError
from mmder_train.data import dataset, loader, selection
from mmder_train.data.sampler import BatchSampler
from mmder_train.fusion.strategies import STRATEGIES

SEVEN = LABEL_SETS["ravdess-7"]


@pytest.mark.parametrize("name", STRATEGIES)
def test_items_hold_the_arrays_that_the_strategy_takes(store: Store, name: str) -> None:
    strategy = STRATEGIES[name]
    clips = selection.select_clips(store, strategy=strategy, labels=SEVEN)
    data = dataset.ClipDataset(
        store, clips=clips, strategy=strategy, spectrogram="stft"
    )
    item = data[2]
    row = int(clips.row[2])
    keys = {"clip"}
    keys |= {"frames"} if strategy.frames else set()
    keys |= {"audio"} if strategy.windows else set()
    assert set(item) == keys
    if strategy.frames:
        frames = store.read("frames", row)
        assert (item["frames"].numpy() == frames[:: 16 // strategy.frames]).all()
        assert item["frames"].dtype == torch.uint8
    if strategy.windows:
        stft = store.read(f"stft_{strategy.windows}", row)
        assert (item["audio"].numpy() == stft).all()
        assert item["audio"].dtype == torch.float16


def test_preloaded_items_are_the_same(store: Store) -> None:
    strategy = STRATEGIES["ffls"]
    clips = selection.select_clips(store, strategy=strategy, labels=SEVEN)
    data = dataset.ClipDataset(
        store, clips=clips, strategy=strategy, spectrogram="mfcc"
    )
    before = data[3]
    assert data.preload()
    assert all(torch.equal(before[k], v) for k, v in data[3].items())


def test_clips_above_the_size_limit_are_not_preloaded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "PRELOAD_BYTES", 10)
    strategy = STRATEGIES["audio"]
    clips = selection.select_clips(store, strategy=strategy, labels=SEVEN)
    data = dataset.ClipDataset(
        store, clips=clips, strategy=strategy, spectrogram="mfcc"
    )
    assert not data.preload()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_audio_that_is_not_finite_names_the_clip(
    store: Store, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """On a GPU it would silently become the first color."""
    strategy = STRATEGIES["audio"]
    clips = selection.select_clips(store, strategy=strategy, labels=SEVEN)
    read, bad = Store.read_batch, int(clips.row[4])

    def damaged(self: Store, name: str, rows: Sequence[int], **more: Any) -> Any:
        arrays = read(self, name, rows, **more)
        arrays[[row == bad for row in rows], 0, 2, 3] = value
        return arrays

    monkeypatch.setattr(Store, "read_batch", damaged)
    data = dataset.ClipDataset(
        store, clips=clips, strategy=strategy, spectrogram="mfcc"
    )
    sampler = BatchSampler(np.arange(6), batch_size=3)
    batches = iter(loader.BatchLoader(data, sampler, workers=0, pin=False))
    assert next(batches)["clip"].tolist() == [0, 1, 2]
    with pytest.raises(StoreError) as raised:
        next(batches)
    assert f"the audio of {clips.clip_id[4]} is infinite or not" in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(StoreError, match=str(clips.clip_id[4])):
        data.preload()
