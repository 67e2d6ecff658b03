"""Encoder-ready batches: clips are read, moved to the device and fused."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.data.augmentation import AUGMENTATIONS
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.image_transforms import mirror
from mmder_train.data.loader import BatchLoader
from mmder_train.data.mixup import Mixup, pair_permutations
from mmder_train.data.modality_dropout import (
    can_lack,
    draw_dropped,
    drop_alike_in_pairs,
)
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import RuntimeContext
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.types import NUM_FRAMES, Modality, Permutation
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.progress import Progress
from mmder_train.training.train_state import MicroBatch
from mmder_train.training.trainer import StepBatch

StoredBatch = Mapping[str, Tensor]
"""Stored clips: ``clip`` (positions), ``frames`` and ``audio``."""


def create_feed(
    experiment: Experiment,
    runs: Sequence[StrategyRun],
    context: RuntimeContext,
    *,
    rereads: bool,
) -> ClipFeed:
    """Return the feed of some strategies. Nothing is read yet.

    Arrays that are read more than once are held on the device, as far as they fit.

    Args:
        experiment: Settings and store.
        runs: Strategies and their clips.
        context: Threads that read.
        rereads: True if a strategy reads its clips more than once. Else only arrays of
            several strategies are held.
    """
    uses = Counter(n for run in runs for n in _arrays(experiment, run).arrays.values())
    return ClipFeed.create(
        StoreRows(store=experiment.store),
        device=experiment.device,
        readers=context.readers,
        rows=np.concatenate([run.clips.row for run in runs]),
        names=[n for n, count in uses.most_common() if rereads or count > 1],
    )


def _arrays(experiment: Experiment, strategy_run: StrategyRun) -> ClipArrays:
    return ClipArrays(
        reader=StoreRows(store=experiment.store),
        rows=strategy_run.clips.row,
        strategy=strategy_run.strategy,
        spectrogram=experiment.config.spectrogram,
    )


class FusedBatches:
    """Fused encoder inputs of a strategy's clips.

    Clips are moved to the device in their stored form, and fused there.
    """

    def __init__(
        self,
        experiment: Experiment,
        strategy_run: StrategyRun,
        feed: ClipFeed,
        *,
        world: WorldInfo = SINGLE_PROCESS,
    ) -> None:
        """Open the strategy's clips.

        Args:
            experiment: Settings and store.
            strategy_run: A strategy and its clips.
            feed: Feed of the run.
            world: Processes that share each batch.
        """
        self.experiment = experiment
        self.strategy_run = strategy_run
        self.world = world
        self._feed = feed
        self._labels = torch.from_numpy(strategy_run.clips.label).to(experiment.device)
        self._permutations: dict[int, Permutation] = {}
        self._evaluated: BatchLoader | None = None

    def in_order(
        self,
        index: Int64[np.ndarray, " side"],
        *,
        batch_size: int,
        mirrored: bool = False,
        dropped: Modality | None = None,
        dtype: torch.dtype = torch.float32,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's part of the clips, in their order and not augmented.

        One loader and its memory serve all calls.

        Args:
            index: Positions of the clips.
            batch_size: Number of clips per batch, in all processes.
            mirrored: True to mirror the faces left to right.
            dropped: Modality that all clips lack, or None.
            dtype: Number format of the input.
            progress: Counts the clips.

        Yields:
            Positions of a batch's clips, and the encoder's input.
        """
        if self._evaluated is None:
            sampler = BatchSampler(index, batch_size=batch_size, world=self.world)
            self._evaluated = self._load(sampler)
        self._evaluated.sampler.set_index(index, batch_size=batch_size)
        batches: Iterable[StoredBatch] = self._evaluated
        if progress is not None:
            batches = _count_clips(batches, progress)
        for batch in batches:
            arrays = self._to_device(batch)
            frames = arrays.get("frames")
            if mirrored and frames is not None:
                frames = mirror(frames)
            order = self._frame_orders(arrays["clip"], epoch=0)
            names = [dropped] * len(order)
            x = self._fuse(frames, arrays.get("audio"), order, names, dtype)
            yield batch["clip"], x

    def for_training(self, index: Int64[np.ndarray, " side"]) -> "EpochBatches":
        """Return the steps of a fold: shuffled or drawn, augmented and mixed.

        Args:
            index: Positions of the clips.
        """
        config = self.experiment.config
        balanced = config.sampler == "balanced"
        sampler = BatchSampler(
            index,
            batch_size=config.batch_size,
            seed=config.seed,
            labels=self.strategy_run.clips.label[index] if balanced else None,
            world=self.world,
        )
        return EpochBatches(source=self, sampler=sampler, stored=self._load(sampler))

    def _load(self, sampler: BatchSampler) -> BatchLoader:
        clips = _arrays(self.experiment, self.strategy_run)
        return self._feed.loader(clips, sampler)

    def _to_device(self, batch: StoredBatch) -> dict[str, Tensor]:
        device = self.experiment.device
        return {k: v.to(device, non_blocking=True) for k, v in batch.items()}

    def _frame_orders(self, clips: Int64[Tensor, " clip"], epoch: int) -> Permutation:
        """Return the RFAS frame order of some clips, in order for other strategies.

        The orders of epoch 0, which evaluations use, and of the last epoch are kept. A
        million of them take a minute.
        """
        if not self.strategy_run.strategy.shuffles_frames:
            frames = torch.arange(NUM_FRAMES, device=clips.device)
            return frames.expand(len(clips), -1)
        if epoch not in self._permutations:
            orders = frame_permutations(
                self.strategy_run.clips.clip_id,
                seed=self.experiment.config.seed,
                epoch=epoch,
            )
            kept = {k: v for k, v in self._permutations.items() if k == 0}
            self._permutations = kept | {epoch: orders.to(clips.device)}
        return self._permutations[epoch][clips]

    def _draw_dropped(
        self, clips: Int64[Tensor, " clip"], epoch: int
    ) -> list[Modality | None]:
        """Draw the modality that each training clip lacks, None for most."""
        config = self.experiment.config
        if not config.modality_dropout or not can_lack(self.strategy_run.strategy):
            return [None] * len(clips)
        return draw_dropped(
            [self.strategy_run.clips.clip_id[i] for i in clips.tolist()],
            probability=config.modality_dropout,
            seed=config.seed,
            epoch=epoch,
        )

    def _fuse(
        self,
        frames: Tensor | None,
        audio: Tensor | None,
        permutations: Permutation,
        dropped: Sequence[Modality | None],
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        return fuse(
            frames,
            audio,
            permutations,
            strategy=self.strategy_run.strategy,
            settings=self.experiment.render_settings,
            dropped=dropped,
            dtype=dtype,
        )

    def step_batches(
        self, stored: Iterable[StoredBatch], sampler: BatchSampler, epoch: int
    ) -> Iterator[StepBatch]:
        """Yield stored batches as the steps of an epoch.

        Args:
            stored: Batches in the order of the sampler.
            sampler: Order of the clips, set to the epoch.
            epoch: Number of the epoch, from 0.
        """
        for batch, clips in zip(stored, sampler.sizes(), strict=True):
            split = partial(
                self._micro_batches,
                self._to_device(batch),
                clips=batch["clip"],
                epoch=epoch,
                counts=self.world.has_own_clip(clips),
            )
            yield StepBatch(index=batch["clip"], clips=clips, split=split)

    def _micro_batches(
        self,
        batch: StoredBatch,
        number: int,
        *,
        clips: Int64[Tensor, " clip"],
        epoch: int,
        counts: bool,
    ) -> Iterator[MicroBatch]:
        """Split a batch; each micro-batch is augmented, fused and mixed on demand.

        Args:
            batch: Stored clips on the device.
            number: Number of micro-batches.
            clips: Positions of the clips, on the CPU.
            epoch: Number of the epoch, from 0.
            counts: False for clips that only keep this process in step.
        """
        config = self.experiment.config
        augmentation = replace(
            AUGMENTATIONS[config.augment], mask=config.mask, erase=config.erase
        )
        mixup = Mixup(mixup=config.mixup, cutmix=config.cutmix)
        size = -(-len(batch["clip"]) // number)
        for start in range(0, len(batch["clip"]), size):
            arrays = {name: t[start : start + size] for name, t in batch.items()}
            target = self._labels[arrays["clip"]]
            order = self._frame_orders(
                arrays["clip"], epoch if config.rfas_resample else 0
            )
            dropped = self._draw_dropped(clips[start : start + size], epoch)
            frames, audio = augmentation.apply(
                arrays.get("frames"),
                arrays.get("audio"),
                settings=self.experiment.render_settings,
            )
            if mixup.enabled:
                order = pair_permutations(order)
                dropped = drop_alike_in_pairs(dropped)
            x = self._fuse(frames, audio, order, dropped)
            if mixup.enabled:
                x, target = mixup.apply(
                    x,
                    target,
                    classes=len(self.experiment.labels.classes),
                    strategy=self.strategy_run.strategy,
                    label_smoothing=config.label_smoothing,
                )
            yield MicroBatch(x=x, target=target, counts=counts)


@dataclass(frozen=True, kw_only=True)
class EpochBatches:
    """The steps of each epoch of a fold."""

    source: FusedBatches
    sampler: BatchSampler
    stored: Iterable[StoredBatch]
    """Stored batches in the order of `sampler`, read again in each epoch."""

    def __len__(self) -> int:
        """Return the number of steps per epoch."""
        return len(self.sampler)

    def __call__(self, epoch: int, first_step: int) -> Iterator[StepBatch]:
        """Yield the steps of an epoch, beginning with `first_step`."""
        self.sampler.set_epoch(epoch, start_batch=first_step)
        yield from self.source.step_batches(self.stored, self.sampler, epoch)


def _count_clips(
    batches: Iterable[StoredBatch], progress: Progress
) -> Iterator[StoredBatch]:
    """Yield the batches, and report their clips and the time spent waiting for them."""
    waiting_since = time.monotonic()
    for batch in batches:
        waited_s = time.monotonic() - waiting_since
        yield batch
        progress.step(clips=len(batch["clip"]), waited_s=waited_s)
        waiting_since = time.monotonic()
