"""Parameter groups of the optimizer, and learning rate schedules."""

from itertools import pairwise

import pytest
from torch import nn, optim

from mmder_train.models import mae_dfer
from mmder_train.models.classifier import Classifier
from mmder_train.models.videomae import Encoder, Head, PoolingConfig, Size
from mmder_train.training.optim import create_optimizer, warmup_cosine


def learning_rates(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, float]:
    """Return the current learning rate of every parameter by its name."""
    names = {id(p): n for n, p in model.named_parameters()}
    rates = {names[id(p)]: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates.keys() == set(names.values())
    return rates


def test_cosine_schedule_rises_then_falls() -> None:
    optimizer = create_optimizer(Head(8, 2), lr=0.1, weight_decay=0.05)
    set_lr = warmup_cosine(optimizer, steps=100, warmup=0.1)
    rates = []
    for step in range(100):
        set_lr(step)
        rates.append(optimizer.param_groups[0]["lr"])
    assert all(r > 0 for r in rates)
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates.index(max(rates)) == pytest.approx(10, abs=2)
    assert all(a >= b for a, b in pairwise(rates[12:]))
    assert rates[-1] < 0.001


def test_biases_and_norms_are_not_decayed() -> None:
    optimizer = create_optimizer(Head(8, 2), lr=0.1, weight_decay=0.05)
    by_decay = {
        g["weight_decay"]: sum(p.numel() for p in g["params"])
        for g in optimizer.param_groups
    }
    assert by_decay == {0.0: 8 + 8 + 2, 0.05: 16}


def test_patch_projection_has_a_scaled_learning_rate() -> None:
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    optimizer = create_optimizer(model, lr=0.1, weight_decay=0.05, patch_lr_scale=0.01)
    warmup_cosine(optimizer, steps=100, warmup=0.1)(40)
    rates = learning_rates(model, optimizer)
    whole = rates.pop("head.head.weight")
    assert rates.pop("encoder.patch_embed.proj.weight") == pytest.approx(whole / 100)
    assert set(rates.values()) == {whole}


def test_region_tokens_are_not_decayed() -> None:
    encoder = mae_dfer.Encoder(PoolingConfig(pool="region"), depth=1)
    model = Classifier(encoder, Head(encoder.dim, 2))
    optimizer = create_optimizer(model, lr=0.1, weight_decay=0.05)
    not_decayed = {
        parameter
        for group in optimizer.param_groups
        for parameter in group["params"]
        if group["weight_decay"] == 0
    }
    matrices = {
        n for n, p in model.named_parameters() if p in not_decayed and p.ndim > 1
    }
    assert matrices == {"encoder.lg_region_tokens"}


def test_region_tokens_learn_at_the_full_rate() -> None:
    """As in MAE-DFER's optim_factory.py, where they belong to the last layer."""
    encoder = mae_dfer.Encoder(PoolingConfig(pool="region"), depth=3)
    model = Classifier(encoder, Head(encoder.dim, 2))
    optimizer = create_optimizer(model, lr=0.1, weight_decay=0.05, layer_decay=0.5)
    warmup_cosine(optimizer, steps=100, warmup=0.0)(0)
    rates = learning_rates(model, optimizer)
    assert rates["encoder.lg_region_tokens"] == rates["head.head.weight"]
    patches = rates["encoder.patch_embed.proj.weight"]
    assert patches == pytest.approx(rates["head.head.weight"] / 16)


def test_lower_layers_have_lower_learning_rates() -> None:
    model = Classifier(Encoder(Size(dim=24, depth=2, heads=1)), Head(24, 2))
    optimizer = create_optimizer(model, lr=0.1, weight_decay=0.05, layer_decay=0.5)
    warmup_cosine(optimizer, steps=100, warmup=0.0)(0)
    rates = learning_rates(model, optimizer)
    top = rates["head.head.weight"]
    for name, fraction in {
        "encoder.blocks.1.mlp.fc1.weight": 1 / 2,
        "encoder.blocks.0.mlp.fc1.bias": 1 / 4,
        "encoder.patch_embed.proj.weight": 1 / 8,
    }.items():
        assert rates[name] == pytest.approx(top * fraction)
