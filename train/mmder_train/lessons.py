"""What a run's settings make of its store: batches as the encoder takes them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.augment import AUGMENTATIONS
from mmder_train.clips import ClipData, Order
from mmder_train.engine import Inputs, Lesson
from mmder_train.fusion import fused, places_of
from mmder_train.learner import Part
from mmder_train.mixing import Mixing, shared_places
from mmder_train.trial import Run, Trial

Batch = Mapping[str, Tensor]
"""Stored clips: ``clip`` (positions), ``frames``, ``sound``."""


def stored(run: Run, trial: Trial) -> ClipData:
    """Give what the strategy takes of each clip."""
    return ClipData(
        run.store, clips=trial.clips, strategy=trial.strategy, audio=run.config.audio
    )


def inputs(run: Run, trial: Trial, batches: Iterable[Batch]) -> Inputs:
    """Bring stored clips to the device as they are, and fuse them there."""
    places = _places(run, trial, 0)
    for batch in batches:
        there = _on_device(run, batch)
        yield (
            batch["clip"],
            fused(
                there.get("frames"),
                there.get("sound"),
                places[there["clip"]],
                strategy=trial.strategy,
                look=run.look,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """The steps of an epoch, made from batches of the store."""

    run: Run
    trial: Trial
    batches: Iterable[Batch]
    """In the order of `order`, each time they are gone through."""
    order: Order

    def __call__(self, epoch: int, done: int) -> Iterator[Lesson]:
        """Give the steps of an epoch, after so many of them."""
        order = self.order
        order.epoch, order.skip = epoch, done
        run, trial = self.run, self.trial
        places = _places(run, trial, epoch if run.config.rfas_resample else 0)
        for batch, clips in zip(self.batches, order.sizes(), strict=True):
            there = _on_device(run, batch)
            counts = order.group.counts(clips)
            parts = partial(_parts, run, trial, there, places=places, counts=counts)
            yield Lesson(index=batch["clip"], clips=clips, parts=parts)


def _parts(
    run: Run, trial: Trial, batch: Batch, number: int, *, places: Tensor, counts: bool
) -> Iterator[Part]:
    """Cut a batch into parts, each varied, fused and mixed when its turn comes."""
    config, look = run.config, run.look
    augmentation = replace(AUGMENTATIONS[config.augment], mask=config.mask)
    mixing = Mixing(mixup=config.mixup, cutmix=config.cutmix)
    labels = torch.from_numpy(trial.clips.label).to(run.device)
    size = -(-len(batch["clip"]) // number)
    for k in range(0, len(batch["clip"]), size):
        some = {name: t[k : k + size] for name, t in batch.items()}
        target, order = labels[some["clip"]], places[some["clip"]]
        frames, sound = augmentation.vary(
            some.get("frames"), some.get("sound"), look=look
        )
        if mixing.on:
            order = shared_places(order)
        x = fused(frames, sound, order, strategy=trial.strategy, look=look)
        if mixing.on:
            x, target = mixing.mixed(
                x,
                target,
                classes=len(run.labels.classes),
                strategy=trial.strategy,
                label_smoothing=config.label_smoothing,
            )
        yield Part(x=x, target=target, counts=counts)


def _on_device(run: Run, batch: Batch) -> dict[str, Tensor]:
    return {k: v.to(run.device, non_blocking=True) for k, v in batch.items()}


def _places(run: Run, trial: Trial, epoch: int) -> Int64[Tensor, "clip 16"]:
    drawn = places_of(trial.clips.clip_id, seed=run.config.seed, epoch=epoch)
    return drawn.to(run.device)
