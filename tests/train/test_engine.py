"""Steps, rates and losses."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]

from mmder_store.errors import MmderError, SettingsError
from mmder_train.config.recipes import METHODS
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold
from mmder_train.experiment.feature_cache import extract_features
from mmder_train.experiment.linear_probe import train_head
from mmder_train.models import mae_dfer
from mmder_train.models.classifier import Classifier
from mmder_train.models.videomae import Encoder, Head, PoolingConfig, Size
from mmder_train.runtime.progress import silent
from mmder_train.training import optim, trainer
from mmder_train.training.train_state import MicroBatch, TrainState

CONFIG = {
    "strategies": ("cfas",),
    "labels": "ravdess-7",
    "protocol": "speakers-5",
    "epochs": 1,
    "batch_size": 2,
    "lr": 0.01,
}


def test_cosine_climbs_and_falls() -> None:
    optimiser = optim.create_optimizer(Head(8, 2), lr=0.1, weight_decay=0.05)
    set_rate = optim.warmup_cosine(optimiser, steps=100, warm_up=0.1)
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
    optimiser = optim.create_optimizer(Head(8, 2), lr=0.1, weight_decay=0.05)
    by_decay = {
        g["weight_decay"]: sum(p.numel() for p in g["params"])
        for g in optimiser.param_groups
    }
    assert by_decay == {0.0: 8 + 8 + 2, 0.05: 16}


def test_the_projection_of_patches_takes_its_share_of_the_rate() -> None:
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    optimiser = optim.create_optimizer(
        model, lr=0.1, weight_decay=0.05, patch_rate=0.01
    )
    set_rate = optim.warmup_cosine(optimiser, steps=100, warm_up=0.1)
    set_rate(40)
    names = {id(p): n for n, p in model.named_parameters()}
    rates = {names[id(p)]: g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert rates.keys() == set(names.values())
    whole = rates.pop("head.head.weight")
    assert rates.pop("encoder.patch_embed.proj.weight") == pytest.approx(whole / 100)
    assert set(rates.values()) == {whole}


def test_region_tokens_do_not_decay() -> None:
    encoder = mae_dfer.Encoder(PoolingConfig(pool="region"), depth=1)
    model = Classifier(encoder, Head(encoder.dim, 2))
    optimiser = optim.create_optimizer(model, lr=0.1, weight_decay=0.05)
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
    features = extract_features(encoder, batches, device=torch.device("cpu"))
    assert modes == [(True, False)] * 2
    assert not features.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(features, encoder(clips))
    config = TrainConfig(**(CONFIG | {"epochs": 3}))  # type: ignore[arg-type]
    labels = torch.tensor([0, 1, 0, 1])
    train_head(
        features,
        labels,
        fold=Fold(number=1, speakers=(), train=np.arange(4), test=np.arange(0)),
        classes=2,
        config=config,
        clip_ids=["a", "b", "c", "d"],
        progress=silent(),
    )
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


def learner_of(model: torch.nn.Module, lr: float = 1e-2, **more: Any) -> TrainState:
    return TrainState(
        model=model,
        optimizer=optim.create_optimizer(model, lr=lr, weight_decay=0.05),
        set_lr=optim.constant_lr,
        device=torch.device("cpu"),
        **more,
    )


def parts_of(
    x: torch.Tensor, target: torch.Tensor, number: int = 1
) -> Iterator[MicroBatch]:
    for some, wanted in zip(x.chunk(number), target.chunk(number), strict=True):
        yield MicroBatch(x=some, target=wanted)


def test_steps_on_few_clips_drive_the_loss_down() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    learner = learner_of(Head(8, 3))
    losses = [
        learner.train_step(parts_of(features, labels), clips=4) for _ in range(60)
    ]
    assert losses[-1] < 0.1 < losses[0]
    assert learner.step == 60


def test_steps_through_the_encoder_drive_the_loss_down() -> None:
    torch.manual_seed(0)
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    clips = torch.stack([torch.zeros(3, 16, 224, 224), torch.ones(3, 16, 224, 224)])
    learner = learner_of(model)
    labels = torch.tensor([0, 1])
    losses = [learner.train_step(parts_of(clips, labels), clips=2) for _ in range(12)]
    assert losses[-1] < losses[0] / 2
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert still == []


def test_a_step_in_parts_is_the_step_of_all() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    weights = []
    for number in (1, 2, 3, 6):
        torch.manual_seed(0)
        learner = learner_of(Head(8, 3), label_smoothing=0.1)
        loss = [
            learner.train_step(parts_of(x, labels, number), clips=6) for _ in range(5)
        ]
        weights.append((loss, learner.model.state_dict()))
    for loss, state in weights[1:]:
        assert loss == pytest.approx(weights[0][0], rel=1e-5)
        for name, tensor in state.items():
            torch.testing.assert_close(tensor, weights[0][1][name])


def test_no_gradient_is_longer_than_asked_for() -> None:
    x, labels = 100 * torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    learner = learner_of(Head(8, 3), clip_grad=0.01)
    learner.train_step(parts_of(x, labels), clips=4)
    grads = [p.grad for p in learner.model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_the_mean_of_weights_is_what_is_tested() -> None:
    torch.manual_seed(0)
    head = Head(8, 3)
    average = ModelEmaV3(head, decay=0.5)
    learner = learner_of(head, average=average)
    x, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    mean = head.head.weight.detach().clone()
    for step in range(5):
        learner.train_step(parts_of(x, labels), clips=4)
        # The mean begins with the second step, not with the random first weights.
        share = 0.5 if step > 1 else 0.0
        mean = share * mean + (1 - share) * head.head.weight.detach()
    assert isinstance(learner.eval_model, Head)
    torch.testing.assert_close(learner.eval_model.head.weight, mean)
    assert not torch.equal(mean, head.head.weight)


def course_of(x: torch.Tensor, labels: torch.Tensor, **more: Any) -> trainer.FitPlan:
    def lessons(_: int, done: int) -> Iterator[trainer.StepBatch]:
        for k in range(2 * done, len(x), 2):
            index = torch.arange(k, k + 2)
            yield trainer.StepBatch(
                index=index,
                clips=2,
                parts=lambda n, i=index: parts_of(x[i], labels[i], n),  # type: ignore[misc]
            )

    names = [f"clip-{i}" for i in range(len(x))]
    return trainer.FitPlan(
        epoch_batches=lessons, steps_per_epoch=len(x) // 2, clip_ids=names, **more
    )


def test_a_loss_that_is_no_number_stops_and_names_the_step_and_the_clips() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    x[3] = float("nan")
    learner = learner_of(Head(8, 3))
    course = course_of(x, labels, epochs=2)
    text = r"step 2: the loss is nan, with clips clip-2, clip-3\. A smaller --lr"
    with pytest.raises(MmderError, match=text):
        trainer.fit(learner, course, progress=silent())
    assert all(p.isfinite().all() for p in learner.model.parameters())


class Hungry(torch.nn.Module):
    """A model that takes as many clips at once as it can, and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.head = most, Head(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            torch.empty(
                2**62, dtype=torch.uint8
            )  # what torch raises when there is none
        return self.head(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("most", "text"),
    [
        (
            1,
            "out of memory: 2 clips at once do not fit, 1 do. Say --grad-accum-steps 2.",
        ),
        (0, "2 clips at once do not fit, nor does one. Say --checkpoint-activations"),
    ],
)
def test_out_of_memory_says_what_would_fit(most: int, text: str) -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    course = course_of(x, labels, epochs=1)
    with pytest.raises(MmderError, match=re.escape(text)):
        trainer.fit(learner_of(Hungry(most)), course, progress=silent())


def test_validation_chooses_the_epoch_and_patience_ends_it() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    told = iter([0.2, 0.5, 0.5, 0.4, 0.9])
    seen = []

    def judge(model: torch.nn.Module) -> dict[str, float]:
        seen.append({k: t.clone() for k, t in model.state_dict().items()})
        return {"val_uar": next(told)}

    learner = learner_of(Head(8, 3))
    course = course_of(x, labels, epochs=5, judge=judge, patience=2)
    trainer.fit(learner, course, progress=silent())
    assert [row["val_uar"] for row in learner.history] == [0.2, 0.5, 0.5, 0.4]
    for name, tensor in learner.eval_model.state_dict().items():
        assert torch.equal(tensor, seen[1][name])


def test_layers_below_take_less_of_the_rate() -> None:
    model = Classifier(Encoder(Size(dim=24, depth=2, heads=1)), Head(24, 2))
    optimiser = optim.create_optimizer(
        model, lr=0.1, weight_decay=0.05, layer_decay=0.5
    )
    optim.warmup_cosine(optimiser, steps=100, warm_up=0.0)(0)
    names = {id(p): n for n, p in model.named_parameters()}
    rates = {names[id(p)]: g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert rates.keys() == set(names.values())
    top = rates["head.head.weight"]
    for name, share in {
        "encoder.blocks.1.mlp.fc1.weight": 1 / 2,
        "encoder.blocks.0.mlp.fc1.bias": 1 / 4,
        "encoder.patch_embed.proj.weight": 1 / 8,
    }.items():
        assert rates[name] == pytest.approx(top * share)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0}, "--epochs 0: expected 1 or more"),
        ({"batch_size": 0}, "--batch-size 0: expected 1"),
        ({"seed": -1}, "--seed -1: expected 0"),
        ({"lr": 0.0}, "--lr 0: expected above 0"),
        ({"lr": float("nan")}, "--lr nan: expected above 0"),
        ({"weight_decay": 2.0}, "--weight-decay 2: expected 0 to 1"),
        (
            {"method": "finetune", "drop_tokens": 1.0},
            "--drop-tokens 1: expected 0 to below",
        ),
        ({"label_smoothing": -0.1}, "--label-smoothing -0.1: expected 0 to below 1"),
        (
            {"drop_tokens": 0.5},
            "--drop-tokens: --method linear-probe has none, its encoder is frozen",
        ),
        ({"patch_lr_scale": 1.5}, "--patch-lr-scale 1.5: expected 0 to 1"),
        ({"patch_lr_scale": 0.5}, "--patch-lr-scale: --method linear-probe has none"),
        ({"label_smoothing": 0.1}, "--label-smoothing: --method linear-probe has none"),
        ({"augment": "audio"}, "--augment: --method linear-probe has none"),
        (
            {"augment": "audio", "method": "finetune"},
            "Say --spectrogram stft or --spectrogram mel",
        ),
        ({"strategies": ("cfas", "cfas")}, "expected each strategy once"),
        ({"rfas_resample": True}, "Say --method finetune"),
        ({"rfas_resample": True, "method": "finetune"}, "no rfas among cfas"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        TrainConfig(**(CONFIG | change))  # type: ignore[arg-type]


def test_the_papers_numbers_are_the_defaults() -> None:
    assert METHODS["linear-probe"]["lr"] == 1e-2
    assert TrainConfig(**CONFIG).weight_decay == 0.05  # type: ignore[arg-type]
