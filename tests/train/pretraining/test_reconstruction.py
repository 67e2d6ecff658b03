"""Reconstructions: they use no hidden pixel, and visible tokens are unchanged."""

from dataclasses import replace

import torch

from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models.registry import build_encoder
from mmder_train.pretraining.batches import MaskedBatch
from mmder_train.pretraining.masking import (
    MaskSettings,
    draw_visible,
    hidden_tokens,
    token_kinds,
)
from mmder_train.pretraining.model import build_autoencoder
from mmder_train.pretraining.reconstruction import Reconstruction, reconstruct, rescale
from mmder_train.pretraining.targets import make_targets

STRATEGY = STRATEGIES["ffls"]


def make_batch() -> tuple[MaskedBatch, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 224, 224) - 0.5
    visible = draw_visible(
        ("a",),
        strategy=STRATEGY,
        patch_px=56,
        settings=MaskSettings(),
        seed=0,
        epoch=0,
    )
    hidden = hidden_tokens(visible, 128)
    every = token_kinds(STRATEGY, 56, torch.arange(16)[None])
    kinds = every.gather(1, hidden[:, :, None].expand(-1, -1, 2))
    target = make_targets(x, hidden, kinds, patch_px=56, target="pixels")
    return (
        MaskedBatch(x=x, target=target, visible=visible, hidden=hidden, kinds=kinds),
        every,
    )


def test_hidden_pixels_do_not_change_the_reconstruction() -> None:
    """The mean and the standard deviation of hidden tokens are not borrowed."""
    model = build_autoencoder("tiny-56", build_encoder("tiny-56"))
    batch, every = make_batch()

    def run(one: MaskedBatch) -> Reconstruction:
        norm = IMAGE_NORMS["half"]
        return reconstruct(model, one, every, target="motion", image_norm=norm)

    first = run(batch)
    is_visible = (first.visible == first.input).all(3)
    assert 0.1 < is_visible.float().mean() < 0.25
    changed = batch.x.clone()
    box = ~is_visible[None, None].expand_as(changed)
    changed[box] = 3 * changed[box] + 1
    second = run(replace(batch, x=changed))
    assert not torch.equal(first.input, second.input)
    assert torch.equal(first.visible, second.visible)
    assert torch.equal(first.reconstructed, second.reconstructed)
    shown = is_visible[..., None].expand_as(first.input)
    assert torch.equal(first.reconstructed[shown], first.input[shown])


def test_predictions_are_scaled_by_visible_tokens_of_their_kind() -> None:
    """One color value per token and frame; two pixels of each color."""
    visible = torch.tensor(
        [[[0.0, 2.0] * 3, [10.0, 30.0] * 3, [10.0, 30.0] * 3]]
    )  # video, audio, audio
    visible_kinds = torch.tensor([[[1, 1], [2, 2], [2, 2]]])
    predicted = torch.tensor([[[1.0, -1.0] * 3, [1.0, -1.0] * 3]])
    scaled = rescale(
        predicted, torch.tensor([[[1, 1], [2, 2]]]), visible, visible_kinds
    )
    root = 2**0.5
    face = torch.tensor([1 + root, 1 - root] * 3)
    sound = torch.tensor([20 + 10 * root, 20 - 10 * root] * 3)
    torch.testing.assert_close(scaled[0], torch.stack((face, sound)))
