"""What a run's settings make of its store: batches as the encoder takes them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.data.augmentation import AUGMENTATIONS
from mmder_train.data.dataset import ClipDataset
from mmder_train.data.mixup import Mixup, mix_labels
from mmder_train.data.sampler import BatchSampler
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.training.evaluate import Inputs
from mmder_train.training.train_state import MicroBatch
from mmder_train.training.trainer import StepBatch

Batch = Mapping[str, Tensor]
"""Stored clips: ``clip`` (positions), ``frames``, ``sound``."""


def create_dataset(run: Experiment, trial: StrategyRun) -> ClipDataset:
    """Give what the strategy takes of each clip."""
    return ClipDataset(
        run.store,
        clips=trial.clips,
        strategy=trial.strategy,
        audio=run.config.spectrogram,
    )


def fused_batches(
    run: Experiment, trial: StrategyRun, batches: Iterable[Batch]
) -> Inputs:
    """Bring stored clips to the device as they are, and fuse them there."""
    places = _places(run, trial, 0)
    for batch in batches:
        there = _on_device(run, batch)
        yield (
            batch["clip"],
            fuse(
                there.get("frames"),
                there.get("sound"),
                places[there["clip"]],
                strategy=trial.strategy,
                look=run.render_settings,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class EpochBatches:
    """The steps of an epoch, made from batches of the store."""

    run: Experiment
    trial: StrategyRun
    batches: Iterable[Batch]
    """In the order of `order`, each time they are gone through."""
    order: BatchSampler

    def __call__(self, epoch: int, done: int) -> Iterator[StepBatch]:
        """Give the steps of an epoch, after so many of them."""
        order = self.order
        order.epoch, order.skip = epoch, done
        run, trial = self.run, self.trial
        places = _places(run, trial, epoch if run.config.rfas_resample else 0)
        for batch, clips in zip(self.batches, order.sizes(), strict=True):
            there = _on_device(run, batch)
            counts = order.group.shard_sizes(clips)
            parts = partial(
                _micro_batches, run, trial, there, places=places, counts=counts
            )
            yield StepBatch(index=batch["clip"], clips=clips, parts=parts)


def _micro_batches(
    run: Experiment,
    trial: StrategyRun,
    batch: Batch,
    number: int,
    *,
    places: Tensor,
    counts: bool,
) -> Iterator[MicroBatch]:
    """Cut a batch into parts, each varied, fused and mixed when its turn comes."""
    config, look = run.config, run.render_settings
    augmentation = replace(AUGMENTATIONS[config.augment], mask=config.mask)
    mixing = Mixup(mixup=config.mixup, cutmix=config.cutmix)
    labels = torch.from_numpy(trial.clips.label).to(run.device)
    size = -(-len(batch["clip"]) // number)
    for k in range(0, len(batch["clip"]), size):
        some = {name: t[k : k + size] for name, t in batch.items()}
        target, order = labels[some["clip"]], places[some["clip"]]
        frames, sound = augmentation.vary(
            some.get("frames"), some.get("sound"), look=look
        )
        if mixing.on:
            order = mix_labels(order)
        x = fuse(frames, sound, order, strategy=trial.strategy, look=look)
        if mixing.on:
            x, target = mixing.apply(
                x,
                target,
                classes=len(run.labels.classes),
                strategy=trial.strategy,
                label_smoothing=config.label_smoothing,
            )
        yield MicroBatch(x=x, target=target, counts=counts)


def _on_device(run: Experiment, batch: Batch) -> dict[str, Tensor]:
    return {k: v.to(run.device, non_blocking=True) for k, v in batch.items()}


def _places(
    run: Experiment, trial: StrategyRun, epoch: int
) -> Int64[Tensor, "clip 16"]:
    drawn = frame_permutations(trial.clips.clip_id, seed=run.config.seed, epoch=epoch)
    return drawn.to(run.device)
