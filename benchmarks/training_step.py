"""A training step on the CPU: what of it is not the encoder, and what is waiting.

The trainer's own loop, loader and fusion, ViT-S, CFAS; clocks stop at the encoder's
forward, at the gradient's arrival at its output, and at the optimiser. A store that
fits in memory is held there; here every clip is read anew.
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

from data import QUICK_ACTORS, store
from mmder_store import Store
from mmder_train.data.dataset import ClipDataset
from mmder_train.data.loader import create_loader
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.selection import select_clips
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
Spent = dict[str, float]


def measure(quick: bool) -> list[Figure]:
    """Take some steps, and fuse batches beside the encoder's forward."""
    opened = Store(store(QUICK_ACTORS))
    encoder = build_encoder("small")
    figures = step_figures(opened, encoder, batch=1 if quick else 8)
    names = ("cfas",) if quick else tuple(STRATEGIES)
    return figures + fusion_figures(opened, encoder, names, clips=1 if quick else 4)


def step_figures(opened: Store, encoder: nn.Module, *, batch: int) -> list[Figure]:
    """Give the shares of an epoch of two steps, after one of warming up."""
    strategy = STRATEGIES["cfas"]
    labels = opened.spec.label_sets[0]
    clips = select_clips(opened, strategy=strategy, labels=labels)
    data = ClipDataset(opened, clips=clips, strategy=strategy, audio=LOOK.spectrogram)
    order = BatchSampler(np.arange(2 * batch), batch=batch, seed=0)
    batches = create_loader(data, order, workers=0, pin=False)
    model = Classifier(encoder, Head(encoder.dim, len(labels.classes)))  # type: ignore[arg-type]
    optimiser = create_optimizer(model, lr=1e-4, weight_decay=0.05)
    spent: Spent = defaultdict(float)
    clock_encoder(encoder, optimiser, spent)
    learner = TrainState(
        model=model,
        optimizer=optimiser,
        set_lr=constant_lr,
        device=torch.device("cpu"),
    )
    places = frame_permutations(clips.clip_id, seed=0)
    targets = torch.from_numpy(clips.label)
    for _ in range(2):
        spent.clear()
        order.epoch += 1
        start = time.perf_counter()
        for fed in waited(batches, spent):
            index = fed["clip"]
            x = fuse(
                fed.get("frames"),
                fed.get("sound"),
                places[index],
                strategy=strategy,
                look=LOOK,
            )
            learner.train_step(
                iter([MicroBatch(x=x, target=targets[index])]), clips=len(index)
            )
        whole = time.perf_counter() - start
    inside = spent["forward"] + spent["backward"]
    shares = {
        "step: share outside the encoder": (1 - inside / whole, 0.05),
        "step: share of waiting for data": (spent["wait"] / whole, 0.02),
    }
    return [
        Figure(name=name, value=value, unit="x", better="less", goal=goal)
        for name, (value, goal) in shares.items()
    ]


def clock_encoder(
    encoder: nn.Module, optimiser: torch.optim.Optimizer, spent: Spent
) -> None:
    """Count the seconds in the encoder, forward and backward."""
    began: Spent = {}

    def arrived(_: Tensor) -> None:
        began["backward"] = time.perf_counter()

    def before(*_: object) -> None:
        began["forward"] = time.perf_counter()

    def after(_module: nn.Module, _given: object, out: Tensor) -> None:
        spent["forward"] += time.perf_counter() - began["forward"]
        if out.requires_grad:
            out.register_hook(arrived)  # type: ignore[no-untyped-call]

    def step(*_: object) -> None:
        spent["backward"] += time.perf_counter() - began["backward"]

    encoder.register_forward_pre_hook(before)
    encoder.register_forward_hook(after)
    optimiser.register_step_pre_hook(step)


def waited(batches: Iterable[Any], spent: Spent) -> Iterator[Any]:
    """Pass batches on, and count the seconds until each is there."""
    source = iter(batches)
    while True:
        start = time.perf_counter()
        batch = next(source, None)
        spent["wait"] += time.perf_counter() - start
        if batch is None:
            return
        yield batch


@torch.inference_mode()
def fusion_figures(
    opened: Store, encoder: nn.Module, names: tuple[str, ...], *, clips: int
) -> list[Figure]:
    """Give the time of fusing 16 clips by that of the encoder's forward over them."""
    encoder.eval()
    tasks: dict[str, Callable[[], object]] = {
        name: partial(fuse, *given(opened, s), strategy=s, look=LOOK)
        for name, s in STRATEGIES.items()
        if name in names
    }
    some = torch.zeros(clips, 3, 16, 224, 224)
    times = interleaved(
        {**tasks, "forward": lambda: encoder(some)}, rounds=3, clock=time.process_time
    )
    return [
        Figure(
            name=f"{name}: fusion of 16 clips by their forward",
            value=median(
                fuse / (through * FUSED_CLIPS / clips)
                for fuse, through in zip(times[name], times["forward"], strict=True)
            ),
            unit="x",
            better="less",
            goal=0.03,
        )
        for name in tasks
        if name != "forward"
    ]


def given(
    opened: Store, strategy: Strategy
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Read what a strategy takes of sixteen clips."""
    clips = select_clips(opened, strategy=strategy, labels=opened.spec.label_sets[0])
    data = ClipDataset(opened, clips=clips, strategy=strategy, audio=LOOK.spectrogram)
    batch = data.__getitems__(range(FUSED_CLIPS))
    places = frame_permutations(clips.clip_id[:FUSED_CLIPS], seed=0)
    return batch.get("frames"), batch.get("sound"), places


if __name__ == "__main__":
    main(measure)
