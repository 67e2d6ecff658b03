"""A training step on the CPU: time outside the encoder, and time waiting for data.

It runs the trainer's own loop, loader and fusion with ViT-S and CFAS. Clocks are read
at the encoder's forward, when the gradient arrives at its output, and at the optimizer
step. The trainer would hold a store that fits in memory; here every clip is read from
disk each time.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data import QUICK_ACTORS, prepare_store
from mmder_store import Store
from mmder_train.data.loader import BatchLoader
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.models.classifier import Classifier
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import Head
from mmder_train.training.optim import constant_lr, create_optimizer
from mmder_train.training.train_state import MicroBatch, TrainState
from record import Figure, interleaved, main

LOOK = RenderSettings(spectrogram="mfcc", colormap="viridis", spectrogram_norm="window")
FUSED_CLIPS = 16
Seconds = dict[str, float]


def measure(quick: bool) -> list[Figure]:
    """Time training steps, and the fusion of batches against the encoder's forward."""
    store = Store(prepare_store(QUICK_ACTORS))
    encoder = build_encoder("small")
    figures = step_figures(store, encoder, batch=1 if quick else 8)
    names = ("cfas",) if quick else tuple(STRATEGIES)
    return figures + fusion_figures(store, encoder, names, clips=1 if quick else 4)


def step_figures(store: Store, encoder: nn.Module, *, batch: int) -> list[Figure]:
    """Return the time fractions of an epoch of two steps, after a warm-up epoch."""
    strategy = STRATEGIES["cfas"]
    labels = store.spec.label_sets[0]
    clips = select_clips(store, strategy=strategy, labels=labels)
    data = ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram=LOOK.spectrogram,
    )
    order = BatchSampler(np.arange(2 * batch), batch_size=batch, seed=0)
    batches = BatchLoader(data, order)
    model = Classifier(encoder, Head(encoder.dim, len(labels.classes)))  # type: ignore[arg-type]
    optimizer = create_optimizer(model, lr=1e-4, weight_decay=0.05)
    seconds: Seconds = defaultdict(float)
    clock_encoder(encoder, optimizer, seconds)
    state = TrainState(
        model=model,
        optimizer=optimizer,
        set_lr=constant_lr,
        device=torch.device("cpu"),
    )
    permutations = frame_permutations(clips.clip_id, seed=0)
    targets = torch.from_numpy(clips.label)
    for _ in range(2):
        seconds.clear()
        order.epoch += 1
        start = time.perf_counter()
        for arrays in clock_waiting(batches, seconds):
            index = arrays["clip"]
            x = fuse(
                arrays.get("frames"),
                arrays.get("audio"),
                permutations[index],
                strategy=strategy,
                settings=LOOK,
            )
            state.train_step(
                iter([MicroBatch(x=x, target=targets[index])]), clips=len(index)
            )
        total = time.perf_counter() - start
    inside = seconds["forward"] + seconds["backward"]
    fractions = {
        "step: share outside the encoder": (1 - inside / total, 0.05),
        "step: share of waiting for data": (seconds["wait"] / total, 0.02),
    }
    return [
        Figure(name=name, value=value, unit="x", better="less", goal=goal)
        for name, (value, goal) in fractions.items()
    ]


def clock_encoder(
    encoder: nn.Module, optimizer: torch.optim.Optimizer, seconds: Seconds
) -> None:
    """Add up the seconds in the encoder's forward and backward passes with hooks."""
    starts: Seconds = {}

    def on_gradient(_: Tensor) -> None:
        starts["backward"] = time.perf_counter()

    def before_forward(*_: object) -> None:
        starts["forward"] = time.perf_counter()

    def after_forward(_module: nn.Module, _inputs: object, out: Tensor) -> None:
        seconds["forward"] += time.perf_counter() - starts["forward"]
        if out.requires_grad:
            out.register_hook(on_gradient)  # type: ignore[no-untyped-call]

    def before_step(*_: object) -> None:
        seconds["backward"] += time.perf_counter() - starts["backward"]

    encoder.register_forward_pre_hook(before_forward)
    encoder.register_forward_hook(after_forward)
    optimizer.register_step_pre_hook(before_step)


def clock_waiting(batches: Iterable[Any], seconds: Seconds) -> Iterator[Any]:
    """Yield the batches, and add up the seconds spent waiting for them."""
    source = iter(batches)
    while True:
        start = time.perf_counter()
        batch = next(source, None)
        seconds["wait"] += time.perf_counter() - start
        if batch is None:
            return
        yield batch


@torch.inference_mode()
def fusion_figures(
    store: Store, encoder: nn.Module, names: tuple[str, ...], *, clips: int
) -> list[Figure]:
    """Return the time to fuse 16 clips, relative to the encoder's forward on them."""
    encoder.eval()
    tasks: dict[str, Callable[[], object]] = {
        name: partial(
            fuse, *fusion_arguments(store, strategy), strategy=strategy, settings=LOOK
        )
        for name, strategy in STRATEGIES.items()
        if name in names
    }
    x = torch.zeros(clips, 3, 16, 224, 224)
    times = interleaved(
        {**tasks, "forward": lambda: encoder(x)}, rounds=3, clock=time.process_time
    )
    return [
        Figure(
            name=f"{name}: fusion of 16 clips by their forward",
            value=median(
                fusion_s / (forward_s * FUSED_CLIPS / clips)
                for fusion_s, forward_s in zip(
                    times[name], times["forward"], strict=True
                )
            ),
            unit="x",
            better="less",
            goal=0.03,
        )
        for name in tasks
        if name != "forward"
    ]


def fusion_arguments(
    store: Store, strategy: Strategy
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Read frames, spectrograms and frame permutations of sixteen clips."""
    clips = select_clips(store, strategy=strategy, labels=store.spec.label_sets[0])
    data = ClipArrays(
        reader=StoreRows(store=store),
        rows=clips.row,
        strategy=strategy,
        spectrogram=LOOK.spectrogram,
    )
    batch = data.read(range(FUSED_CLIPS))
    permutations = frame_permutations(clips.clip_id[:FUSED_CLIPS], seed=0)
    return batch.get("frames"), batch.get("audio"), permutations


if __name__ == "__main__":
    main(measure)
