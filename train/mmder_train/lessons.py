"""What a run's settings make of its store: batches as the encoder takes them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.augment import varied
from mmder_train.clips import ClipData, Order
from mmder_train.engine import Inputs, Lesson
from mmder_train.fusion import fused, places_of
from mmder_train.learner import Part
from mmder_train.trial import Run, Trial

Batch = Mapping[str, Tensor]
"""Stored clips: ``clip`` (positions), ``frames``, ``sound``."""


def stored(run: Run, trial: Trial) -> ClipData:
    """Give what the strategy takes of each clip."""
    return ClipData(
        run.store, clips=trial.clips, strategy=trial.strategy, audio=run.config.audio
    )


def fuse(run: Run, trial: Trial, batch: Batch, places: Tensor) -> Tensor:
    """Give the encoder's input of stored clips, on the device where they are."""
    return fused(
        batch.get("frames"),
        batch.get("sound"),
        places[batch["clip"]],
        strategy=trial.strategy,
        look=run.look,
    )


def inputs(run: Run, trial: Trial, batches: Iterable[Batch]) -> Inputs:
    """Bring stored clips to the device as they are, and fuse them there."""
    places = _places(run, trial, 0)
    for batch in batches:
        yield batch["clip"], fuse(run, trial, _on_device(run, batch), places)


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
    """Cut a batch into parts, each made when its turn comes."""
    labels = torch.from_numpy(trial.clips.label).to(run.device)
    size = -(-len(batch["clip"]) // number)
    for k in range(0, len(batch["clip"]), size):
        some = {name: t[k : k + size] for name, t in batch.items()}
        if run.config.augment == "sound" and "sound" in some:
            some["sound"] = varied(some["sound"])
        yield Part(
            x=fuse(run, trial, some, places),
            target=labels[some["clip"]],
            counts=counts,
        )


def _on_device(run: Run, batch: Batch) -> dict[str, Tensor]:
    return {k: v.to(run.device, non_blocking=True) for k, v in batch.items()}


def _places(run: Run, trial: Trial, epoch: int) -> Int64[Tensor, "clip 16"]:
    drawn = places_of(trial.clips.clip_id, seed=run.config.seed, epoch=epoch)
    return drawn.to(run.device)
