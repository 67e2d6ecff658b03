"""Which clips serve, and that batches hold what the store holds."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS, label_set
from mmder_store.errors import SettingsError
from mmder_train.data import dataset, loader, selection
from mmder_train.data.sampler import BatchSampler
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.runtime.distributed import WorldInfo

SEVEN = LABEL_SETS["ravdess-7"]
STATUS = {0: "no_face", 1: "no_audio", 2: "no_video", 3: "failed"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(
        tmp_path_factory.mktemp("clips") / "s.zarr", clips=10, status=STATUS
    )


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cfas", [4, 5, 6, 7, 8, 9]),
        ("audio", [0, 2, 4, 5, 6, 7, 8, 9]),
        ("video", [1, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_status_decides(store: Store, name: str, rows: list[int]) -> None:
    found = selection.select_clips(store, strategy=STRATEGIES[name], labels=SEVEN)
    assert found.row.tolist() == rows
    assert sum(found.excluded.values()) == 10 - len(rows)
    assert found.excluded["failed"] == 1
    emotions = [store.columns["emotion"][i] for i in rows]
    names = [SEVEN.classes[k] for k in found.label]
    assert names == [SEVEN.class_of[e] for e in emotions]


def test_emotions_without_a_class_are_left_out(store: Store) -> None:
    two = label_set("two", ("angry", "sad"))
    found = selection.select_clips(store, strategy=STRATEGIES["cfas"], labels=two)
    assert found.excluded["no class for 'fearful' in two"] == 1
    assert set(found.label.tolist()) == {0}
    with pytest.raises(SettingsError, match=r"no clip for cfas \(1 failed, .*no_face"):
        selection.select_clips(
            store, strategy=STRATEGIES["cfas"], labels=label_set("none", ("excited",))
        )


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_clip_holds_the_arrays_its_strategy_takes(store: Store, name: str) -> None:
    one = STRATEGIES[name]
    found = selection.select_clips(store, strategy=one, labels=SEVEN)
    data = dataset.ClipDataset(store, clips=found, strategy=one, audio="stft")
    item = data[2]
    row = int(found.row[2])
    want = {"clip", *(["frames"] * (one.frames > 0)), *(["sound"] * (one.windows > 0))}
    assert set(item) == want
    if one.frames:
        frames = store.read("frames", row)
        assert (item["frames"].numpy() == frames[:: 16 // one.frames]).all()
        assert item["frames"].dtype == torch.uint8
    if one.windows:
        sound = store.read(f"stft_{one.windows}", row)
        assert (item["sound"].numpy() == sound).all()
        assert item["sound"].dtype == torch.float16


def test_held_clips_are_the_same(store: Store) -> None:
    one = STRATEGIES["ffls"]
    found = selection.select_clips(store, strategy=one, labels=SEVEN)
    data = dataset.ClipDataset(store, clips=found, strategy=one, audio="mfcc")
    before = data[3]
    assert data.preload()
    assert all(torch.equal(before[k], v) for k, v in data[3].items())


def test_too_many_clips_are_not_held(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "HOLD_BYTES", 10)
    one = STRATEGIES["audio"]
    found = selection.select_clips(store, strategy=one, labels=SEVEN)
    assert not dataset.ClipDataset(
        store, clips=found, strategy=one, audio="mfcc"
    ).preload()


def test_order_is_new_each_epoch_and_whole() -> None:
    order = BatchSampler(np.arange(10, 40), batch=7, seed=3)
    first = list(order)
    assert list(order) == first
    assert len(first) == len(order) == 5
    order.epoch = 1
    assert list(order) != first
    assert (
        sorted(itertools.chain(*order))
        == sorted(itertools.chain(*first))
        == list(range(10, 40))
    )


def test_an_epoch_goes_on_after_some_batches() -> None:
    order = BatchSampler(np.arange(30), batch=7, seed=3)
    whole = list(order)
    order.skip = 2
    assert list(order) == whole[2:]
    assert order.sizes() == [7, 7, 2]


@given(clips=st.integers(1, 40), batch=st.integers(1, 9), size=st.integers(1, 5))
def test_processes_share_every_batch(clips: int, batch: int, size: int) -> None:
    index = np.arange(clips)
    whole = list(BatchSampler(index, batch=batch, seed=1))
    groups = [WorldInfo(rank=rank, world_size=size) for rank in range(size)]
    parts = [list(BatchSampler(index, batch=batch, seed=1, group=g)) for g in groups]
    for number, found in enumerate(whole):
        own = [
            positions[number]
            for positions, group in zip(parts, groups, strict=True)
            if group.shard_sizes(len(found))
        ]
        assert all(positions[number] for positions in parts)
        assert sorted(itertools.chain(*own)) == sorted(found)


def test_batches_are_the_same_whoever_reads(store: Store) -> None:
    one = STRATEGIES["audio"]
    found = selection.select_clips(store, strategy=one, labels=SEVEN)
    data = dataset.ClipDataset(store, clips=found, strategy=one, audio="mfcc")
    order = BatchSampler(np.arange(len(found.row)), batch=3, seed=0)
    here, there = (
        list(loader.create_loader(data, order, workers=n, pin=False)) for n in (0, 1)
    )
    assert [len(b["clip"]) for b in here] == [3, 3, 2]
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a["clip"], b["clip"])
        assert torch.equal(a["sound"], b["sound"])


def test_sound_alone_serves_only_audio(tmp_path: Path) -> None:
    store = make_store(tmp_path / "sound.zarr", clips=8, modality="audio")
    assert (
        len(
            selection.select_clips(
                store, strategy=STRATEGIES["audio"], labels=SEVEN
            ).row
        )
        == 8
    )
    for name in ("cfas", "rfas", "video"):
        with pytest.raises(SettingsError, match=r"sound alone. Say --strategy audio"):
            selection.select_clips(store, strategy=STRATEGIES[name], labels=SEVEN)
