"""The dataset for models of one's own gives what training uses."""

import pytest
import torch
from torch.utils.data import DataLoader

from fake_store import make_store
from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train import FusionDataset
from mmder_train.data.folds import choose_protocol, split
from mmder_train.data.selection import select_clips
from mmder_train.fusion import STRATEGIES, RenderSettings, frame_permutations, fuse


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("fusion") / "store.zarr"
    make_store(path, clips=20, speakers=5)
    return Store(path)


@pytest.mark.parametrize("name", STRATEGIES)
def test_items_are_the_encoder_input(store: Store, name: str) -> None:
    dataset = FusionDataset(store, strategy=name, side="test", fold=2, seed=3)
    item = dataset[1]
    row = list(store.columns["clip_id"]).index(item["clip_id"])
    strategy = STRATEGIES[name]
    frames = store.read_batch("frames", [row])[:, :: 16 // (strategy.frames or 16)]
    windows = strategy.windows or 16
    expected = fuse(
        torch.from_numpy(frames.copy()) if strategy.frames else None,
        torch.from_numpy(store.read_batch(f"stft_{windows}", [row]))
        if strategy.windows
        else None,
        frame_permutations([item["clip_id"]], seed=3),
        strategy=strategy,
        settings=RenderSettings(
            spectrogram="stft", colormap="viridis", spectrogram_norm="fixed"
        ),
    )[0]
    assert torch.equal(item["x"], expected)
    assert item["speaker"] == store.columns["speaker"][row]


def test_sides_are_those_of_the_protocol(store: Store) -> None:
    (labels, *_) = store.spec.label_sets
    clips = select_clips(store, strategy=STRATEGIES["cfas"], labels=labels)
    speakers = [str(s) for s in store.columns["speaker"]]
    folds = split(clips.speaker, choose_protocol("", store.spec.protocols, speakers))
    for fold in folds:
        train = FusionDataset(store, side="train", fold=fold.number)
        test = FusionDataset(store, side="test", fold=fold.number)
        assert train.clip_ids == tuple(clips.clip_id[i] for i in fold.train)
        assert test.clip_ids == tuple(clips.clip_id[i] for i in fold.test)
        assert test.labels == tuple(clips.label[fold.test].tolist())
        assert not set(train.speakers) & set(test.speakers)


def test_validation_speakers_are_not_trained_on(store: Store) -> None:
    whole = FusionDataset(store, side="train")
    train = FusionDataset(store, side="train", validation=True)
    val = FusionDataset(store, side="val", validation=True)
    assert not set(train.speakers) & set(val.speakers)
    assert sorted((*train.clip_ids, *val.clip_ids)) == sorted(whole.clip_ids)
    with pytest.raises(SettingsError, match="only with validation=True"):
        FusionDataset(store, side="val")


def test_stored_arrays_are_not_changed(store: Store) -> None:
    dataset = FusionDataset(store, strategy="ffls", fused=False, spectrogram="stft")
    item = dataset[0]
    row = list(store.columns["clip_id"]).index(item["clip_id"])
    assert (item["frames"].numpy() == store.read("frames", row)[::2]).all()
    assert (item["audio"].numpy() == store.read("stft_8", row)).all()
    assert "x" not in item


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loader_workers_read_the_same(store: Store, context: str) -> None:
    dataset = FusionDataset(store, strategy="audio", fused=False)
    batches = DataLoader(
        dataset, batch_size=3, num_workers=2, multiprocessing_context=context
    )
    found = [clip_id for batch in batches for clip_id in batch["clip_id"]]
    assert tuple(found) == dataset.clip_ids
    first = next(iter(batches))
    assert torch.equal(first["audio"][1], dataset[1]["audio"])
    assert first["label"].tolist() == list(dataset.labels[:3])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"strategy": "sum"}, "strategy 'sum': expected one of cfas"),
        ({"image_norm": "clip"}, "image_norm 'clip': expected one of imagenet"),
        ({"labels": "nine"}, "labels 'nine': this store has"),
        ({"fold": 99}, "fold 99"),
    ],
)
def test_unknown_settings_are_refused(
    store: Store, options: dict[str, object], text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        FusionDataset(store, **options)  # type: ignore[arg-type]
