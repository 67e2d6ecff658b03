"""Batches of pre-training: clips are read, fused, masked, and paired with targets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mmder_train.data.augmentation import AUGMENTATIONS
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.loader import BatchLoader
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import NUM_FRAMES, Input, Permutation
from mmder_train.pretraining.config import PretrainConfig
from mmder_train.pretraining.masking import (
    TIMES,
    Kind,
    MaskSettings,
    draw_hidden_kind,
    draw_visible,
    grid_size,
    hidden_tokens,
    is_mixed,
    token_kinds,
)
from mmder_train.pretraining.targets import make_targets
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.training.train_state import MicroBatch
from mmder_train.training.trainer import StepBatch

VALIDATION_EPOCH = -1
"""Epoch of the masks of held-out clips, which are the same after each epoch."""
StoredBatch = Mapping[str, Tensor]
"""Stored clips: ``clip`` (positions), ``frames`` and ``audio``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedBatch(MicroBatch):
    """Clips with their masks. `target` has the values of the hidden tokens."""

    visible: Tensor
    """Number of each token that the encoder sees, per clip."""
    hidden: Tensor
    """Number of each token that is predicted, per clip."""
    kinds: Tensor
    """Kind that each hidden token shows in each of its two frames."""


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Stored clips, and the settings with which they are fused and masked."""

    clips: ClipArrays
    feed: ClipFeed
    """Way of the clips to the device."""
    clip_ids: Sequence[str]
    """Name of each clip."""
    strategy: Strategy
    render_settings: RenderSettings
    config: PretrainConfig
    patch_px: int
    """Height and width of the encoder's patches."""
    device: torch.device
    world: WorldInfo = SINGLE_PROCESS

    def fused(
        self, index: Int64[np.ndarray, " clip"], *, batch_size: int
    ) -> Iterator[tuple[Tensor, Input]]:
        """Yield the positions and the complete inputs of this process's clips.

        Args:
            index: Positions of the clips.
            batch_size: Number of clips per batch, in all processes.
        """
        for batch in self._in_order(index, batch_size):
            arrays = self.to_device(batch)
            yield batch["clip"], self._fuse(arrays, self._permutations(batch["clip"]))

    def masked(
        self, index: Int64[np.ndarray, " clip"], *, batch_size: int
    ) -> Iterator[tuple[Tensor, MaskedBatch]]:
        """Yield the positions of this process's clips, and the clips with fixed masks.

        No modality is hidden as a whole.

        Args:
            index: Positions of the clips.
            batch_size: Number of clips per batch, in all processes.
        """
        for batch in self._in_order(index, batch_size):
            yield batch["clip"], self.validation_batch(batch)

    def audio_from_faces(
        self,
        index: Int64[np.ndarray, " clip"],
        faces: Int64[np.ndarray, " clip"],
        *,
        batch_size: int,
    ) -> Iterator[tuple[Tensor, MaskedBatch]]:
        """Yield this process's clips with all audio hidden, and faces of other clips.

        Args:
            index: Positions of the clips whose audio is predicted.
            faces: Position of the clip whose faces each of them gets.
            batch_size: Number of clips per batch, in all processes.
        """
        others = self.load(BatchSampler(faces, batch_size=batch_size, world=self.world))
        for batch, other in zip(self._in_order(index, batch_size), others, strict=True):
            arrays = self.to_device({**batch, "frames": other["frames"]})
            (masked,) = self.mask(
                arrays, 1, epoch=VALIDATION_EPOCH, hidden_kind="audio"
            )
            yield batch["clip"], masked

    def validation_batch(self, batch: StoredBatch) -> MaskedBatch:
        """Fuse stored clips, and mask them as after each epoch."""
        (masked,) = self.mask(self.to_device(batch), 1, epoch=VALIDATION_EPOCH)
        return masked

    def _in_order(
        self, index: Int64[np.ndarray, " clip"], batch_size: int
    ) -> Iterable[StoredBatch]:
        """Return batches in the order of `index`. One loader serves all calls."""
        self._evaluated.sampler.set_index(index, batch_size=batch_size)
        return self._evaluated

    @cached_property
    def _evaluated(self) -> BatchLoader:
        nothing = np.empty(0, np.int64)
        return self.load(BatchSampler(nothing, batch_size=1, world=self.world))

    def load(self, sampler: BatchSampler) -> BatchLoader:
        """Return a loader of stored clips in the order of a sampler."""
        return self.feed.loader(self.clips, sampler)

    def to_device(self, batch: StoredBatch) -> dict[str, Tensor]:
        """Move a stored batch to the device of the model."""
        return {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}

    def mask(
        self,
        batch: StoredBatch,
        number: int,
        *,
        epoch: int,
        hidden_kind: Kind | None = None,
        counts: bool = True,
    ) -> Iterator[MaskedBatch]:
        """Split a batch, and fuse and mask each part when it is reached.

        Training clips are augmented. Clips of `VALIDATION_EPOCH` are not.

        Args:
            batch: Stored clips on the device.
            number: Number of parts.
            epoch: Number of the epoch, from 0.
            hidden_kind: Modality that is hidden as a whole.
            counts: False for clips that only keep this process in step.
        """
        augmentation = AUGMENTATIONS[self.config.augment]
        size = -(-len(batch["clip"]) // number)
        for start in range(0, len(batch["clip"]), size):
            part = {name: t[start : start + size] for name, t in batch.items()}
            if epoch != VALIDATION_EPOCH:
                frames, audio = augmentation.apply(
                    part.get("frames"),
                    part.get("audio"),
                    settings=self.render_settings,
                )
                arrays = {"clip": part["clip"], "frames": frames, "audio": audio}
                part = {name: t for name, t in arrays.items() if t is not None}
            yield self._masked_batch(part, epoch, hidden_kind, counts)

    def _masked_batch(
        self, batch: StoredBatch, epoch: int, hidden_kind: Kind | None, counts: bool
    ) -> MaskedBatch:
        config, strategy = self.config, self.strategy
        permutations = self._permutations(batch["clip"])
        x = self._fuse(batch, permutations)
        visible = draw_visible(
            [self.clip_ids[i] for i in batch["clip"].tolist()],
            strategy=strategy,
            patch_px=self.patch_px,
            settings=MaskSettings(
                video=config.mask_video,
                audio=config.mask_audio,
                audio_shape=config.audio_mask,
            ),
            seed=config.seed,
            epoch=epoch,
            hidden_kind=hidden_kind,
        ).to(self.device)
        hidden = hidden_tokens(visible, TIMES * grid_size(self.patch_px) ** 2)
        kinds = token_kinds(strategy, self.patch_px, permutations)
        kinds = kinds.gather(1, hidden[:, :, None].expand(-1, -1, kinds.shape[2]))
        target = make_targets(
            x, hidden, kinds, patch_px=self.patch_px, target=config.target
        )
        if hidden_kind is not None and is_mixed(strategy, self.patch_px):
            x = self._fuse(batch, permutations, dropped=hidden_kind)
        return MaskedBatch(
            x=x,
            target=target,
            counts=counts,
            visible=visible,
            hidden=hidden,
            kinds=kinds,
        )

    def _permutations(self, positions: Tensor) -> Permutation:
        """Draw the RFAS frame order of some clips."""
        if not self.strategy.shuffles_frames:
            return torch.arange(NUM_FRAMES, device=self.device).expand(
                len(positions), -1
            )
        names = [self.clip_ids[i] for i in positions.tolist()]
        return frame_permutations(names, seed=self.config.seed).to(self.device)

    def _fuse(
        self,
        batch: StoredBatch,
        permutations: Permutation,
        dropped: Kind | None = None,
    ) -> Input:
        return fuse(
            batch.get("frames"),
            batch.get("audio"),
            permutations,
            strategy=self.strategy,
            settings=self.render_settings,
            dropped=[dropped] * len(permutations),
        )


@dataclass(frozen=True, kw_only=True)
class EpochSteps:
    """The steps of each epoch."""

    source: ClipSource
    sampler: BatchSampler
    stored: Iterable[StoredBatch]
    """Stored batches in the order of `sampler`, read again in each epoch."""

    @staticmethod
    def create(source: ClipSource, index: Int64[np.ndarray, " clip"]) -> "EpochSteps":
        """Return the steps over some clips, in a new order in each epoch."""
        config = source.config
        sampler = BatchSampler(
            index, batch_size=config.batch_size, seed=config.seed, world=source.world
        )
        return EpochSteps(source=source, sampler=sampler, stored=source.load(sampler))

    def __len__(self) -> int:
        """Return the number of steps per epoch."""
        return len(self.sampler)

    def __call__(self, epoch: int, first_step: int) -> Iterator[StepBatch]:
        """Yield the steps of an epoch, beginning with `first_step`."""
        source, config = self.source, self.source.config
        self.sampler.set_epoch(epoch, start_batch=first_step)
        batches = zip(self.stored, self.sampler.sizes(), strict=True)
        for step, (batch, clips) in enumerate(batches, start=first_step):
            hidden_kind = draw_hidden_kind(
                source.strategy,
                probability=config.hide_modality,
                seed=config.seed,
                epoch=epoch,
                step=step,
            )
            split = partial(
                source.mask,
                source.to_device(batch),
                epoch=epoch,
                hidden_kind=hidden_kind,
                counts=source.world.has_own_clip(clips),
            )
            yield StepBatch(index=batch["clip"], clips=clips, split=split)
