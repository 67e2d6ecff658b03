"""A training step on fake GPU tensors: devices are those of a GPU, values are not.

An operation between a GPU and a CPU fails, and so does a read of a value on the GPU,
for which the process would wait.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)
from torch.nn import functional

from mmder_train.data import augmentation, image_transforms, mixup
from mmder_train.data.augmentation import AUGMENTATIONS
from mmder_train.data.mixup import Mixup, pair_permutations
from mmder_train.fusion import mel, rendering
from mmder_train.fusion.fuse import fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models.classifier import Classifier
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Head, PoolingConfig

CLASSES = 7
TRAINED = "lazy"
"""Device type of models. For gradients on ``cuda`` autograd starts a real GPU, also if
the tensors are fake. Those of this type it computes without."""
CACHED = (
    rendering.colormap_table,
    rendering._factor_and_shift,
    rendering._normalized_table,
    mel.mel_bands,
    mel._bands_on,
    augmentation._row_heights,
    augmentation._row_heights_on,
    image_transforms._gray,
    image_transforms._noise_moments,
)
"""Functions that keep tensors, which must not be fake after this file."""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTensorMode]:
    """Return a mode in which every new tensor is fake, also one on a GPU."""
    for function in CACHED:
        function.cache_clear()
    # The constants that are made on the CPU once, before they are copied.
    for colormap in ("viridis", "gray"):
        rendering.colormap_table(colormap)
    mel.mel_bands(257, 16_000)
    yield FakeTensorMode(allow_non_fake_inputs=True)
    for function in CACHED:
        function.cache_clear()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the numbers that Mixup draws on the CPU: fake tensors have no value."""
    monkeypatch.setattr(mixup, "draw_beta", lambda _: 0.3)
    monkeypatch.setattr(mixup, "draw_integer", lambda end: end - 1)


def stored(strategy: str, spectrogram: str) -> tuple[Tensor | None, Tensor | None]:
    """Return fake stored clips on a fake GPU."""
    kind = STRATEGIES[strategy]
    frames = audio = None
    if kind.frames:
        shape = 4, kind.frames, 224, 224, 3
        frames = torch.empty(shape, dtype=torch.uint8, device="cuda")
    if kind.windows:
        rows = 40 if spectrogram == "mfcc" else 257
        columns = 41 if kind.windows == 16 else 81
        windows = 4, kind.windows, rows, columns
        audio = torch.empty(windows, dtype=torch.float16, device="cuda")
    return frames, audio


def test_the_fake_gpu_refuses_what_a_gpu_refuses(fake: FakeTensorMode) -> None:
    """Otherwise the tests below could not fail."""
    with fake:
        x = torch.ones(3, device="cuda")
        with pytest.raises(RuntimeError, match="two devices"):
            x + torch.ones(3)
        with pytest.raises(DataDependentOutputException):
            x.sum().item()


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("spectrogram", ["mfcc", "stft", "mel"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batches_are_made_on_the_gpu_without_waiting(
    fake: FakeTensorMode,
    drawn: None,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    spectrogram: str,
    cut: bool,
) -> None:
    monkeypatch.setattr(mixup, "draw_uniform", lambda: 0.0 if cut else 1.0)
    kind = "all" if spectrogram != "mfcc" else "video"
    changes = replace(AUGMENTATIONS[kind], mask=0.3, erase=0.5)
    for colormap in ("viridis", "gray"):
        settings = RenderSettings(
            spectrogram=spectrogram,  # type: ignore[arg-type]
            colormap=colormap,
            spectrogram_norm="fixed" if cut else "window",
        )
        augmentation._row_heights(257, settings)
        with fake:
            frames, audio = changes.apply(
                *stored(strategy, spectrogram), settings=settings
            )
            order = torch.arange(16, device="cuda").expand(4, -1)
            x = fuse(
                frames,
                audio,
                pair_permutations(order),
                strategy=STRATEGIES[strategy],
                settings=settings,
            )
            for_frozen = fuse(
                frames,
                audio,
                order,
                strategy=STRATEGIES[strategy],
                settings=settings,
                dtype=torch.bfloat16,
            )
            assert (for_frozen.dtype, for_frozen.device.type) == (
                torch.bfloat16,
                "cuda",
            )
            labels = torch.zeros(4, dtype=torch.int64, device="cuda")
            mixed, target = Mixup(mixup=0.8, cutmix=1.0).apply(
                x,
                labels,
                classes=CLASSES,
                strategy=STRATEGIES[strategy],
                label_smoothing=0.1,
            )
            assert mixed.shape == (4, 3, 16, 224, 224)
            assert {x.device.type, mixed.device.type, target.device.type} == {"cuda"}


def move_to_gpu(model: nn.Module) -> None:
    """Replace all weights and buffers, as ``to`` does with real tensors."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                moved = torch.empty(weight.shape, device=TRAINED)
                module._parameters[name] = nn.Parameter(moved)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, device=TRAINED)


@pytest.mark.parametrize(
    ("name", "pool", "options"),
    [
        ("tiny", "mean", {}),
        ("tiny-56", "mean", {"drop_tokens": 0.5, "drop_path": 0.1}),
        ("mae-dfer", "region", {"drop_path": 0.1}),
        ("mae-dfer", "mean", {}),
    ],
)
def test_models_train_on_the_gpu_without_waiting(
    fake: FakeTensorMode,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    pool: str,
    options: dict[str, float],
) -> None:
    # It draws again until all values are in range, and reads values for that.
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, std: tensor)
    with fake:
        encoder = build_encoder(name, PoolingConfig(pool=pool), **options)  # type: ignore[arg-type]
        head = Head(encoder.dim, CLASSES, init_scale=0.001, dropout=0.5)
        model = Classifier(encoder, head).train()
        move_to_gpu(model)
        x = torch.empty(2, 3, 16, 224, 224, device=TRAINED)
        for target in (
            torch.zeros(2, dtype=torch.int64, device=TRAINED),
            torch.zeros(2, CLASSES, device=TRAINED),
        ):
            loss = functional.cross_entropy(model(x), target, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert {g.device.type for g in gradients} == {TRAINED}
        with torch.inference_mode():
            assert model.eval()(x).shape == (2, CLASSES)
