"""A pre-training step on the CPU: time by number of visible tokens, and its overhead.

It runs the trainer's own loop, loader, fusion, masks and targets with ViT-S and FSLF.
CPU time is read at the model's forward, when the gradient arrives at its output, when
the gradient of the patch embedding is complete, and at the end of the step. Masks and
targets are compared with the published way: VideoMAE normalizes all tokens of a clip
in colors, and selects the hidden ones with a boolean mask.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from data import QUICK_ACTORS, prepare_store
from mmder_store import Store
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.stored_arrays import ClipArrays
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models import videomae
from mmder_train.models.registry import build_encoder
from mmder_train.pretraining.batches import ClipSource, EpochSteps
from mmder_train.pretraining.clip_pool import gather_clips
from mmder_train.pretraining.config import PretrainConfig
from mmder_train.pretraining.masking import (
    MaskSettings,
    draw_visible,
    hidden_tokens,
    token_kinds,
)
from mmder_train.pretraining.model import (
    MaskedAutoencoder,
    build_autoencoder,
    encode_visible,
)
from mmder_train.pretraining.pool_rows import PoolRows
from mmder_train.pretraining.state import PretrainState
from mmder_train.pretraining.targets import make_targets
from mmder_train.runtime.memory import keep_freed_memory
from mmder_train.training.optim import constant_lr, create_optimizer
from record import Figure, interleaved, main, ratio

STRATEGY = STRATEGIES["fslf"]
LOOK = RenderSettings(spectrogram="mfcc", colormap="viridis", spectrogram_norm="window")
PATCH_PX = 16
FRACTIONS = {"10 %": 0.1, "20 %": 0.2}
GOALS = {"10 %": 0.15, "20 %": 0.25}


def measure(quick: bool) -> list[Figure]:
    """Time the encoder by visible tokens, a whole step, and masks with targets."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as in the program
    encoder = build_encoder("small")
    assert isinstance(encoder, videomae.Encoder)
    clips = 1 if quick else 4
    figures = encoder_figures(encoder, clips=clips, rounds=2 if quick else 5)
    figures += target_figures(clips=4, rounds=3 if quick else 9)
    store = Store(prepare_store(QUICK_ACTORS))
    model = build_autoencoder("small", encoder)
    return [*figures, *step_figures(store, model, batch=8)]


def encoder_figures(
    encoder: videomae.Encoder, *, clips: int, rounds: int
) -> list[Figure]:
    """Return forward and backward on some tokens, relative to all tokens."""
    x = torch.randn(clips, 3, 16, 224, 224)
    encoder.train()

    def train_on(fraction: float) -> Callable[[], object]:
        number = round(encoder.num_tokens * fraction)
        order = torch.rand(clips, encoder.num_tokens).argsort(dim=1)
        visible = order[:, :number].sort(dim=1).values

        def task() -> None:
            encoder.zero_grad(set_to_none=True)
            torch.autograd.backward(encode_visible(encoder, x, visible).mean())

        return task

    def train_on_all() -> None:
        encoder.zero_grad(set_to_none=True)
        torch.autograd.backward(encoder(x).mean())

    tasks = {name: train_on(fraction) for name, fraction in FRACTIONS.items()}
    times = interleaved(
        {**tasks, "all": train_on_all}, rounds=rounds, clock=time.process_time
    )
    return [
        Figure(
            name=f"encoder step on {name} of the tokens by all tokens",
            value=ratio(times, name, "all"),
            unit="x",
            better="less",
            goal=GOALS[name],
        )
        for name in FRACTIONS
    ]


def target_figures(*, clips: int, rounds: int) -> list[Figure]:
    """Return the time of masks and targets, relative to the published way."""
    x = torch.randn(clips, 3, 16, 224, 224)
    order = torch.arange(16).expand(clips, -1)
    names = [f"clip {number}" for number in range(clips)]

    def ours() -> Tensor:
        visible = draw_visible(
            names,
            strategy=STRATEGY,
            patch_px=PATCH_PX,
            settings=MaskSettings(),
            seed=0,
            epoch=0,
        )
        hidden = hidden_tokens(visible, 1568)
        kinds = token_kinds(STRATEGY, PATCH_PX, order)
        kinds = kinds.gather(1, hidden[:, :, None].expand(-1, -1, 2))
        return make_targets(x, hidden, kinds, patch_px=PATCH_PX, target="pixels")

    times = interleaved(
        {"ours": ours, "published": lambda: published_targets(x)},
        rounds=rounds,
        clock=time.process_time,
    )
    return [
        Figure(
            name="masks and targets by the published way",
            value=ratio(times, "ours", "published"),
            unit="x",
            better="less",
            goal=1.0,
        ),
        Figure(
            name="masks and targets of a clip",
            value=1000 * float(np.median(times["ours"])) / clips,
            unit="ms",
            better="less",
        ),
    ]


def published_targets(x: Tensor) -> Tensor:
    """Return normalized pixels of hidden tokens as VideoMAE computes them."""
    clips = len(x)
    tubes = np.hstack([np.zeros(20), np.ones(176)])
    masks = []
    for _ in range(clips):
        np.random.default_rng().shuffle(tubes)
        masks.append(np.tile(tubes, (8, 1)).flatten())
    mask = torch.from_numpy(np.stack(masks)).bool()
    norm = IMAGE_NORMS["imagenet"]
    mean, std = (
        torch.tensor(t)[None, :, None, None, None]
        for t in (norm.mean_rgb, norm.std_rgb)
    )
    colors = (x * std + mean).view(clips, 3, 8, 2, 14, 16, 14, 16)
    pixels = colors.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(clips, 1568, 512, 3)
    centered = pixels - pixels.mean(dim=-2, keepdim=True)
    std = pixels.var(dim=-2, unbiased=True, keepdim=True).sqrt()
    every = (centered / (std + 1e-6)).flatten(2)
    return every[mask].view(clips, -1, every.shape[2])


def step_figures(store: Store, model: MaskedAutoencoder, *, batch: int) -> list[Figure]:
    """Return the fraction of two steps that is outside encoder and decoder."""
    device = torch.device("cpu")
    pool = gather_clips([store], strategy=STRATEGY, spectrogram=LOOK.spectrogram)
    clips = ClipArrays(
        reader=PoolRows(pool),
        rows=np.arange(len(pool.speakers)),
        strategy=STRATEGY,
        spectrogram=LOOK.spectrogram,
    )
    feed = ClipFeed.create(clips.reader, device=device, rows=clips.rows, names=())
    source = ClipSource(
        clips=clips,
        feed=feed,
        clip_ids=pool.clip_id,
        strategy=STRATEGY,
        render_settings=LOOK,
        config=PretrainConfig(batch_size=batch, hide_modality=0.0),
        patch_px=PATCH_PX,
        device=device,
    )
    steps = EpochSteps.create(source, pool.train[: 2 * batch])
    optimizer = create_optimizer(model, lr=1e-4, weight_decay=0.05)
    seconds: dict[str, float] = defaultdict(float)
    clock_model(model, seconds)
    state = PretrainState(
        model=model,
        optimizer=optimizer,
        set_lr=constant_lr,
        device=torch.device("cpu"),
        clip_grad=0.7,
    )
    total = 0.0
    for epoch in range(2):
        seconds.clear()
        start = time.process_time()
        for step in steps(epoch, 0):
            state.train_step(step.split(1), clips=step.clips)
        total = time.process_time() - start
    inside = seconds["forward"] + seconds["backward"]
    return [
        Figure(
            name="step: share outside encoder and decoder",
            value=1 - inside / total,
            unit="x",
            better="less",
            goal=0.05,
        )
    ]


def clock_model(model: MaskedAutoencoder, seconds: dict[str, float]) -> None:
    """Add up the seconds in the forward and backward passes with hooks."""
    starts: dict[str, float] = {}

    def on_gradient(_: Tensor) -> None:
        starts["backward"] = time.process_time()

    def before_forward(*_: object) -> None:
        starts["forward"] = time.process_time()

    def after_forward(_module: nn.Module, _inputs: object, out: Tensor) -> None:
        seconds["forward"] += time.process_time() - starts["forward"]
        out.register_hook(on_gradient)  # type: ignore[no-untyped-call]

    def after_backward(_: Tensor) -> None:
        seconds["backward"] += time.process_time() - starts["backward"]

    model.register_forward_pre_hook(before_forward)
    model.register_forward_hook(after_forward)
    # The gradient of the patch embedding is the last one of a backward pass.
    weight = model.encoder.patch_embed.proj.weight
    weight.register_post_accumulate_grad_hook(after_backward)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(measure)
