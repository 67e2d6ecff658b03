"""Clips are read as stored, and unusable ones are named."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import StoreError
from mmder_train.data import selection
from mmder_train.data.loader import BatchLoader
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.strategies import STRATEGIES

SEVEN = LABEL_SETS["ravdess-7"]


def make_clips(store: Store, name: str, spectrogram: str = "stft") -> ClipArrays:
    strategy = STRATEGIES[name]
    clips = selection.select_clips(store, strategy=strategy, labels=SEVEN)
    return ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram=spectrogram,
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_clips_have_the_arrays_that_the_strategy_takes(store: Store, name: str) -> None:
    strategy, clips = STRATEGIES[name], make_clips(store, name)
    batch, rows = clips.read([2, 0]), clips.rows[[2, 0]].tolist()
    keys = {"clip"}
    keys |= {"frames"} if strategy.frames else set()
    keys |= {"audio"} if strategy.windows else set()
    assert set(batch) == keys
    assert batch["clip"].tolist() == [2, 0]
    for number, row in enumerate(rows):
        if strategy.frames:
            frames = store.read("frames", row)[:: 16 // strategy.frames]
            assert (batch["frames"][number].numpy() == frames).all()
            assert batch["frames"].numpy().dtype == np.uint8
        if strategy.windows:
            stft = store.read(f"stft_{strategy.windows}", row)
            assert (batch["audio"][number].numpy() == stft).all()
            assert batch["audio"].numpy().dtype == np.float16


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_audio_that_is_not_finite_names_the_clip(
    store: Store, monkeypatch: pytest.MonkeyPatch, value: float, threads: int
) -> None:
    """On a GPU it would silently become the first color."""
    clips = make_clips(store, "audio", "mfcc")
    read, bad = Store.read_batch, int(clips.rows[4])
    readers = []

    def damaged(self: Store, name: str, rows: Sequence[int], out: Any) -> Any:
        readers.append(threading.current_thread())
        arrays = read(self, name, rows, out)
        arrays[[row == bad for row in rows], 0, 2, 3] = value
        return arrays

    monkeypatch.setattr(Store, "read_batch", damaged)
    sampler = BatchSampler(np.arange(6), batch_size=3)
    with ReaderThreads(threads) as pool:
        batches = iter(BatchLoader(clips, sampler, readers=pool))
        assert next(batches)["clip"].tolist() == [0, 1, 2]
        with pytest.raises(StoreError) as raised:
            next(batches)
    assert f"the audio of {store.clip_ids[bad]} is infinite or not" in str(raised.value)
    assert "\n" not in str(raised.value)
    in_threads = [t is not threading.main_thread() for t in readers]
    assert all(in_threads) if threads else not any(in_threads)
