"""The training state: both losses fall, and equal the mean over hidden tokens."""

import json

import torch

from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models.registry import build_encoder
from mmder_train.pretraining.batches import MaskedBatch
from mmder_train.pretraining.masking import (
    MaskSettings,
    draw_visible,
    hidden_tokens,
    token_kinds,
)
from mmder_train.pretraining.model import MaskedAutoencoder, build_autoencoder
from mmder_train.pretraining.state import PretrainState
from mmder_train.pretraining.targets import make_targets
from mmder_train.training.optim import constant_lr, create_optimizer
from mmder_train.training.process_state import pack, unpack

STRATEGY = STRATEGIES["fslf"]


def make_state() -> PretrainState:
    torch.manual_seed(0)
    model = build_autoencoder("tiny-56", build_encoder("tiny-56"))
    return PretrainState(
        model=model,
        optimizer=create_optimizer(model, lr=1e-3, weight_decay=0.05),
        set_lr=constant_lr,
        device=torch.device("cpu"),
        clip_grad=1.0,
    )


def make_batch(epoch: int = 0) -> MaskedBatch:
    """Return two clips: spectrograms rise from left to right, faces from the top."""
    x = torch.zeros(2, 3, 16, 224, 224)
    ramp = torch.linspace(-1, 1, 224)
    x[:, :, :8] = ramp
    x[:, :, 8:] = ramp[:, None]
    visible = draw_visible(
        ("a", "b"),
        strategy=STRATEGY,
        patch_px=56,
        settings=MaskSettings(video=0.5),
        seed=0,
        epoch=epoch,
    )
    hidden = hidden_tokens(visible, 128)
    kinds = token_kinds(STRATEGY, 56, torch.arange(16).expand(2, -1))
    kinds = kinds.gather(1, hidden[:, :, None].expand(-1, -1, 2))
    target = make_targets(x, hidden, kinds, patch_px=56, target="pixels")
    return MaskedBatch(x=x, target=target, visible=visible, hidden=hidden, kinds=kinds)


def test_the_losses_of_both_modalities_fall() -> None:
    state = make_state()
    losses = []
    for epoch in range(25):
        state.train_step(iter([make_batch(epoch)]), clips=2)
        loss = state.end_epoch()
        assert state.epoch_losses["loss"] == loss
        losses.append(state.epoch_losses)
    for name in ("loss", "loss_video", "loss_audio"):
        assert 0.9 < losses[0][name] < 1.3
        assert losses[-1][name] < 0.5 * losses[0][name], losses[-1]


def test_the_loss_is_the_mean_over_hidden_tokens() -> None:
    state, batch = make_state(), make_batch()
    assert isinstance(state.model, MaskedAutoencoder)
    with torch.no_grad():
        predicted = state.model(batch.x, batch.visible, batch.hidden)
    errors = (predicted - batch.target).square().mean(2)
    loss = state.train_step(iter([batch]), clips=2)
    assert abs(loss - errors.mean().item()) < 1e-5
    state.end_epoch()
    face = (batch.kinds == 1).all(2)
    for name, tokens in (("video", face), ("audio", ~face)):
        expected = errors[tokens].mean().item()
        assert abs(state.epoch_losses[f"loss_{name}"] - expected) < 1e-5


def test_a_clip_that_does_not_count_changes_no_loss() -> None:
    state, batch = make_state(), make_batch()
    idle = MaskedBatch(
        x=batch.x,
        target=batch.target,
        visible=batch.visible,
        hidden=batch.hidden,
        kinds=batch.kinds,
        counts=False,
    )
    state.train_step(iter([idle]), clips=2)
    assert state.sums.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert state.clips == 0


def test_the_sums_of_an_epoch_are_restored() -> None:
    state = make_state()
    state.train_step(iter([make_batch()]), clips=2)
    tensors, facts = pack([state.process_state()])
    other = make_state()
    saved = unpack(tensors, json.loads(json.dumps(facts)), rank=0, world_size=1)
    other.load_process_state(saved)
    assert torch.equal(other.sums, state.sums)
    assert other.sums[0, 1] > 0
