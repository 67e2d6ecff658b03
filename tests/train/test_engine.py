"""Steps, rates and losses."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from mmder_store.errors import MmderError, SettingsError
from mmder_train import engine, mae_dfer, schedule
from mmder_train.config import TUNES, TrainConfig
from mmder_train.features import pooled, train_head
from mmder_train.videomae import Classifier, Encoder, Head, Readout, Size

CONFIG = {
    "strategies": ("cfas",),
    "labels": "ravdess-7",
    "protocol": "speakers-5",
    "epochs": 1,
    "batch": 2,
    "lr": 0.01,
}


def test_cosine_climbs_and_falls() -> None:
    optimiser = schedule.adamw(Head(8, 2), lr=0.1, weight_decay=0.05)
    set_rate = schedule.cosine(optimiser, steps=100)
    rates = []
    for step in range(100):
        set_rate(step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert all(r > 0 for r in rates)
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates.index(max(rates)) == pytest.approx(10, abs=2)
    assert all(a >= b for a, b in pairwise(rates[12:]))
    assert rates[-1] < 0.001


def test_biases_and_norms_do_not_decay() -> None:
    optimiser = schedule.adamw(Head(8, 2), lr=0.1, weight_decay=0.05)
    by_decay = {
        g["weight_decay"]: sum(p.numel() for p in g["params"])
        for g in optimiser.param_groups
    }
    assert by_decay == {0.0: 8 + 8 + 2, 0.05: 16}


def test_the_projection_of_patches_takes_its_share_of_the_rate() -> None:
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    optimiser = schedule.adamw(model, lr=0.1, weight_decay=0.05, patch_rate=0.01)
    set_rate = schedule.cosine(optimiser, steps=100)
    set_rate(40)
    names = {id(p): n for n, p in model.named_parameters()}
    rates = {names[id(p)]: g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert rates.keys() == set(names.values())
    whole = rates.pop("head.head.weight")
    assert rates.pop("encoder.patch_embed.proj.weight") == pytest.approx(whole / 100)
    assert set(rates.values()) == {whole}


def test_region_tokens_do_not_decay() -> None:
    encoder = mae_dfer.Encoder(Readout(pool="region"), depth=1)
    model = Classifier(encoder, Head(encoder.dim, 2))
    optimiser = schedule.adamw(model, lr=0.1, weight_decay=0.05)
    kept = {
        parameter
        for group in optimiser.param_groups
        for parameter in group["params"]
        if group["weight_decay"] == 0
    }
    matrices = {n for n, p in model.named_parameters() if p in kept and p.ndim > 1}
    assert matrices == {"encoder.lg_region_tokens"}


def test_a_frozen_encoder_learns_nothing_and_keeps_nothing() -> None:
    torch.manual_seed(0)
    encoder = Encoder(Size(dim=24, depth=2, heads=1))
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    modes = []
    encoder.blocks[1].register_forward_hook(
        lambda *_: modes.append((torch.is_inference_mode_enabled(), encoder.training))
    )
    clips = torch.randn(4, 3, 16, 224, 224)
    index = torch.tensor([2, 0, 3, 1])
    batches = [(part, clips[part]) for part in torch.split(index, 2)]
    features = pooled(encoder, batches, device=torch.device("cpu"))
    assert modes == [(True, False)] * 2
    assert not features.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(features, encoder(clips))
    config = TrainConfig(**(CONFIG | {"epochs": 3}))  # type: ignore[arg-type]
    labels = torch.tensor([0, 1, 0, 1])
    train_head(features, labels, train=np.arange(4), classes=2, config=config)
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


def test_steps_on_few_clips_drive_the_loss_down() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    head = Head(8, 3)
    optimiser = schedule.adamw(head, lr=1e-2, weight_decay=0.05)
    losses = [
        engine.train_one_epoch(
            head,
            [(torch.arange(4), features)],
            labels,
            optimiser=optimiser,
            set_rate=schedule.constant,
            first_step=step,
        )
        for step in range(60)
    ]
    assert losses[-1] < 0.1 < losses[0]


def test_steps_through_the_encoder_drive_the_loss_down() -> None:
    torch.manual_seed(0)
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    clips = torch.stack([torch.zeros(3, 16, 224, 224), torch.ones(3, 16, 224, 224)])
    losses = [
        engine.train_one_epoch(
            model,
            [(torch.arange(2), clips)],
            torch.tensor([0, 1]),
            optimiser=optimiser,
            set_rate=schedule.constant,
            first_step=0,
        )
        for optimiser in [schedule.adamw(model, lr=1e-2, weight_decay=0.0)]
        for _ in range(12)
    ]
    assert losses[-1] < losses[0] / 2
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert still == []


def test_a_loss_that_is_no_number_stops_and_names_the_step() -> None:
    head = Head(8, 3)
    features = torch.full((2, 8), float("nan"))
    with pytest.raises(MmderError, match=r"step 12: the loss is nan. A smaller --lr"):
        engine.train_one_epoch(
            head,
            [(torch.arange(2), features)],
            torch.tensor([0, 1]),
            optimiser=schedule.adamw(head, lr=1e-2, weight_decay=0.05),
            set_rate=schedule.constant,
            first_step=11,
        )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0}, "--epochs 0: expected 1 or more"),
        ({"batch": 0}, "--batch 0: expected 1"),
        ({"seed": -1}, "--seed -1: expected 0"),
        ({"lr": 0.0}, "--lr 0: expected above 0"),
        ({"lr": float("nan")}, "--lr nan: expected above 0"),
        ({"weight_decay": 2.0}, "--weight-decay 2: expected 0 to 1"),
        ({"tune": "full", "drop_tokens": 1.0}, "--drop-tokens 1: expected 0 to below"),
        ({"label_smoothing": -0.1}, "--label-smoothing -0.1: expected 0 to below 1"),
        ({"drop_tokens": 0.5}, "--drop-tokens: --tune head has none. Say --tune full"),
        ({"patch_rate": 1.5}, "--patch-rate 1.5: expected 0 to 1"),
        ({"patch_rate": 0.5}, "--patch-rate: --tune head has none"),
        ({"label_smoothing": 0.1}, "--label-smoothing: --tune head has none"),
        ({"augment": "sound"}, "--augment: --tune head has none"),
        ({"augment": "sound", "tune": "full"}, "Say --audio stft or --audio mel"),
        ({"strategies": ("cfas", "cfas")}, "expected each strategy once"),
        ({"rfas_resample": True}, "Say --tune full"),
        ({"rfas_resample": True, "tune": "full"}, "no rfas among cfas"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        TrainConfig(**(CONFIG | change))  # type: ignore[arg-type]


def test_the_papers_numbers_are_the_defaults() -> None:
    assert TUNES["head"].lr == 1e-2
    assert TrainConfig(**CONFIG).weight_decay == 0.05  # type: ignore[arg-type]
