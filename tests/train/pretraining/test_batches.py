"""Batches: a hidden modality is absent from the encoder's input."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmder_store import Store
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.stored_arrays import ClipArrays
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings, write_faces
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.pretraining.batches import ClipSource, MaskedBatch
from mmder_train.pretraining.clip_pool import ClipPool, gather_clips
from mmder_train.pretraining.config import PretrainConfig
from mmder_train.pretraining.masking import AUDIO, VIDEO, Kind, token_kinds
from mmder_train.pretraining.pool_rows import PoolRows
from mmder_train.pretraining.targets import token_pixels


def make_source(stores: Path, name: str) -> ClipSource:
    strategy = STRATEGIES[name]
    pool = gather_clips(
        [Store(stores / "av.zarr")], strategy=strategy, spectrogram="mfcc"
    )
    clips = pool_clips(pool, name)
    device = torch.device("cpu")
    feed = ClipFeed.create(clips.reader, device=device, rows=clips.rows, names=())
    return ClipSource(
        clips=clips,
        feed=feed,
        clip_ids=pool.clip_id,
        strategy=strategy,
        render_settings=RenderSettings(
            spectrogram="mfcc", colormap="viridis", spectrogram_norm="window"
        ),
        config=PretrainConfig(strategy=name),
        patch_px=56,
        device=device,
    )


def pool_clips(pool: ClipPool, name: str) -> ClipArrays:
    return ClipArrays(
        reader=PoolRows(pool),
        rows=np.arange(len(pool.speakers)),
        strategy=STRATEGIES[name],
        spectrogram="mfcc",
    )


def read(source: ClipSource) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = source.clips.read([0, 9])
    return batch


@pytest.mark.parametrize("name", ["sfas", "ofos", "rfas"])
def test_a_hidden_modality_is_removed_from_mixed_tokens(
    stores: Path, name: str
) -> None:
    """The targets still show it, and the two halves add up to the whole input."""
    source = make_source(stores, name)
    stored = read(source)

    def mask(hidden_kind: Kind | None) -> tuple[torch.Tensor, torch.Tensor]:
        (batch,) = source.mask(stored, 1, epoch=0, hidden_kind=hidden_kind)
        return batch.x, batch.target

    whole, target = mask(None)
    without_video, target_v = mask("video")
    without_audio, target_a = mask("audio")
    torch.testing.assert_close(without_video + without_audio, whole)
    assert torch.equal(target, target_v)
    assert torch.equal(target, target_a)
    if name == "sfas":
        faces = torch.zeros_like(whole)
        norm = IMAGE_NORMS["imagenet"]
        write_faces(faces, stored["frames"], image_norm=norm)
        assert torch.equal(without_audio, faces)
    else:
        # Half of the frames are empty.
        empty = (without_audio == 0).all(4).all(3).all(1)
        assert empty.sum(1).tolist() == [8, 8]


def test_validation_masks_are_the_same_every_time(stores: Path) -> None:
    source = make_source(stores, "fslf")
    stored = read(source)
    one, two = (source.validation_batch(stored) for _ in range(2))
    assert torch.equal(one.visible, two.visible)
    (train,) = source.mask(stored, 1, epoch=0)
    assert not torch.equal(one.visible, train.visible)
    # Targets belong to hidden tokens, ordered as they are.
    pixels = token_pixels(one.x, one.hidden, patch_px=56).view(*one.hidden.shape, 3, -1)
    expected = (pixels - pixels.mean(3, keepdim=True)) / pixels.std(3, keepdim=True)
    torch.testing.assert_close(one.target, expected.flatten(2), atol=1e-3, rtol=1e-3)


def test_clips_of_several_stores_are_numbered_together(stores: Path) -> None:
    """A batch has the clips in the order in which they are named."""
    one, two = Store(stores / "av.zarr"), Store(stores / "sound.zarr")
    strategy = STRATEGIES["audio"]
    pool = gather_clips([one, two], strategy=strategy, spectrogram="mfcc")
    clips = pool_clips(pool, "audio")
    assert len(clips.rows) == len(one) + len(two) == 48
    batch = clips.read([20, 3, 47, 46, 0])
    assert batch["clip"].tolist() == [20, 3, 47, 46, 0]
    for position, (store, row) in enumerate(
        [(two, 4), (one, 3), (two, 31), (two, 30), (one, 0)]
    ):
        expected = torch.from_numpy(store.read("mfcc_16", row))
        assert torch.equal(batch["audio"][position], expected)


def test_audio_is_predicted_from_the_faces_of_another_clip(stores: Path) -> None:
    """Only the visible faces change; all audio is hidden, and is the target."""
    source = make_source(stores, "fslf")
    index = np.array([0, 4, 9])

    def batch(faces: list[int]) -> MaskedBatch:
        parts = source.audio_from_faces(index, np.array(faces), batch_size=4)
        ((positions, masked),) = parts
        assert positions.tolist() == [0, 4, 9]
        return masked

    own, other = batch([0, 4, 9]), batch([4, 9, 0])
    whole = source.validation_batch(source.clips.read([0, 4, 9]))
    assert torch.equal(own.x, whole.x)
    assert torch.equal(own.visible, other.visible)
    audio = (own.kinds == AUDIO).all(2)
    assert audio.sum(1).tolist() == [8 * 16 // 2] * 3
    assert torch.equal(own.target[audio], other.target[audio])
    seen = token_pixels(own.x, own.visible, patch_px=56)
    swapped = token_pixels(other.x, other.visible, patch_px=56)
    assert not torch.equal(seen, swapped)
    (again,) = source.mask(
        source.clips.read([4, 9, 0]), 1, epoch=-1, hidden_kind="audio"
    )
    all_tokens = torch.arange(128).expand(3, -1)
    faces = (token_kinds(source.strategy, 56, torch.arange(16)[None]) == VIDEO).all(2)
    left = token_pixels(other.x, all_tokens, patch_px=56)[:, faces[0]]
    right = token_pixels(again.x, all_tokens, patch_px=56)[:, faces[0]]
    assert torch.equal(left, right)
