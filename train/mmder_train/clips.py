"""Which clips of a store serve a strategy, and batches of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_train.distributed import ALONE, Group
from mmder_train.fusion import STORED, Strategy

HOLD_BYTES = 1 << 30
"""Clips that take less than this are held in memory where they are read often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """The clips of a store that a strategy and a label set can use."""

    row: Int64[np.ndarray, " clip"]
    """Row in the store."""
    clip_id: tuple[str, ...]
    speaker: tuple[str, ...]
    label: Int64[np.ndarray, " clip"]
    """Position of the class in the label set."""
    left_out: dict[str, int]
    """Clips of the store that are not used, by reason."""


def serving(strategy: Strategy) -> frozenset[str]:
    """Name the statuses of clips that a strategy can use."""
    serves = {"ok"}
    serves |= set() if strategy.frames else {"no_face", "no_video"}
    serves |= set() if strategy.windows else {"no_audio"}
    return frozenset(serves)


def taken(
    read: Callable[[str], NDArray[Any]], *, strategy: Strategy, audio: str
) -> dict[str, Tensor]:
    """Give what a strategy takes of clips: ``frames``, ``sound``, or both.

    Args:
        read: Gives an array of the clips by its name in the store.
        strategy: How the clips will be fused.
        audio: Which spectrogram stands for the sound.
    """
    found = {}
    if strategy.frames:
        # The 8-frame step is twice the 16-frame step: every second picture.
        frames = read("frames")[:, :: 16 // strategy.frames]
        found["frames"] = torch.from_numpy(np.ascontiguousarray(frames))
    sound = sound_array(strategy, audio)
    if sound:
        found["sound"] = torch.from_numpy(read(sound))
    return found


def usable(store: Store, *, strategy: Strategy, labels: LabelSet) -> Clips:
    """Choose clips by their status and their emotion.

    Status ``ok`` always serves; ``no_face`` and ``no_video`` where no pictures are
    taken; ``no_audio`` where no sound is. All others are left out, and so are clips
    whose emotion has no class in the label set.

    Raises:
        SettingsError: If the store has no pictures and the strategy needs them, or
            no clip is left.
    """
    if strategy.frames and "frames" not in store:
        msg = (
            f"--strategy {strategy.name}: needs pictures, and store "
            f"{store.path.name} has sound alone. Say --strategy audio."
        )
        raise SettingsError(msg)
    serves = serving(strategy)
    columns = store.columns
    emotions = columns[labels.column]
    label = [labels.label(e) for e in emotions]
    reasons = [
        str(status)
        if status not in serves
        else f"no class for {emotion!r} in {labels.name}"
        if number < 0
        else ""
        for status, emotion, number in zip(
            columns["status"], emotions, label, strict=True
        )
    ]
    row = np.array([i for i, why in enumerate(reasons) if not why], dtype=np.int64)
    left_out = dict(sorted(Counter(filter(None, reasons)).items()))
    if not len(row):
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
        msg = f"store {store.path.name}: no clip for {strategy.name} ({why})"
        raise SettingsError(msg)
    return Clips(
        row=row,
        clip_id=tuple(str(columns["clip_id"][i]) for i in row),
        speaker=tuple(str(columns["speaker"][i]) for i in row),
        label=np.array(label, dtype=np.int64)[row],
        left_out=left_out,
    )


def encodable(store: Store, *, strategy: Strategy) -> Clips:
    """Choose the clips that serve a strategy with any label set of the store.

    Their labels are -1: it is not said which set counts.
    """
    serves, columns = serving(strategy), store.columns
    row = np.array(
        [
            i
            for i, status in enumerate(columns["status"])
            if status in serves
            and any(s.label(columns[s.column][i]) >= 0 for s in store.spec.label_sets)
        ],
        dtype=np.int64,
    )
    return Clips(
        row=row,
        clip_id=tuple(str(columns["clip_id"][i]) for i in row),
        speaker=tuple(str(columns["speaker"][i]) for i in row),
        label=np.full(len(row), -1),
        left_out={},
    )


def sound_array(strategy: Strategy, audio: str) -> str | None:
    """Name the array of a store that a strategy's sound is painted from."""
    return f"{STORED[audio]}_{strategy.windows}" if strategy.windows else None


class ClipData(Dataset[dict[str, Tensor]]):
    """Stored clips as they are: integers and half floats, nothing computed.

    Only the arrays that the strategy takes are read, one whole chunk each. A worker
    process gets the store's path and opens it itself.
    """

    def __init__(
        self, store: Store, *, clips: Clips, strategy: Strategy, audio: str
    ) -> None:
        """Say which clips and which arrays."""
        self.store = store
        self.rows = clips.row
        self.strategy = strategy
        self.audio = audio
        self._held: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Give ``clip`` (the position), and ``frames`` and ``sound`` where taken."""
        return {k: v[0] for k, v in self.__getitems__([index]).items()}

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Give a batch at once: clips are read to where they lie in it."""
        if self._held is not None:
            return {k: v[list(index)] for k, v in self._held.items()}
        rows = self.rows[list(index)].tolist()
        found = taken(
            lambda name: self.store.read_batch(name, rows),
            strategy=self.strategy,
            audio=self.audio,
        )
        return {"clip": torch.tensor(index), **found}

    def hold(self) -> bool:
        """Read all clips into memory if they are few enough; tell if they were."""
        if self._held is None:
            first = self[0]
            if sum(t.nbytes for t in first.values()) * len(self) > HOLD_BYTES:
                return False
            held = {k: v.new_empty(len(self), *v.shape) for k, v in first.items()}
            for index in range(len(self)):
                for name, value in self[index].items():
                    held[name][index] = value
            self._held = held
        return True


def shuffled(
    index: Int64[np.ndarray, " clip"], *, seed: int, epoch: int
) -> Int64[np.ndarray, " clip"]:
    """Give all positions in the order of this epoch, whoever reads them."""
    return np.random.default_rng([seed, epoch]).permutation(index)


class Order(Sampler[list[int]], Sized):
    """Batches of positions, in a new order each epoch if a seed is given.

    Order and batches are the same for any number of readers and of processes that
    train together; each process gets its part of every batch.
    """

    def __init__(
        self,
        index: Int64[np.ndarray, " clip"],
        *,
        batch: int,
        seed: int | None = None,
        group: Group = ALONE,
    ) -> None:
        """Take the positions as they come, or shuffle them all by seed and epoch.

        Args:
            index: Positions of the clips.
            batch: Clips in a batch, in all processes.
            seed: None for the order of `index`.
            group: The processes that share each batch.
        """
        self.index = index
        self.batch = batch
        self.seed = seed
        self.group = group
        self.epoch = 0
        self.skip = 0
        """Batches at the beginning that are left out."""

    def sizes(self) -> list[int]:
        """Count the clips of each batch that is not left out, in all processes."""
        starts = range(self.skip * self.batch, len(self.index), self.batch)
        return [min(self.batch, len(self.index) - start) for start in starts]

    def __iter__(self) -> Iterator[list[int]]:
        """Go once over the batches; a part may be empty, and none is repeated."""
        order = self.index
        if self.seed is not None:
            order = shuffled(self.index, seed=self.seed, epoch=self.epoch)
        for start in range(self.skip * self.batch, len(order), self.batch):
            yield self.group.part(order[start : start + self.batch].tolist())

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return -(-len(self.index) // self.batch)


def loader(
    data: ClipData, order: Order, *, workers: int, pin: bool
) -> DataLoader[dict[str, Tensor]]:
    """Give batches in this order; the last may be smaller, and none is repeated.

    Args:
        data: What is read.
        order: Which clips, when.
        workers: Processes that read; 0 reads in this one.
        pin: Whether batches lie in memory that a GPU copies from directly.
    """
    more: dict[str, Any] = (
        # Spawned: a fork would copy zarr's threads, which do not survive one.
        {"multiprocessing_context": "spawn", "persistent_workers": True}
        if workers
        else {}
    )
    return DataLoader(
        data,
        batch_sampler=order,
        collate_fn=_whole,
        num_workers=workers,
        pin_memory=pin,
        # Its own, or each pass would draw from the one that the model draws from.
        generator=torch.Generator(),
        **more,
    )


def _whole(batch: object) -> object:
    """Leave a batch as it was read; torch would make one of single clips."""
    return batch


def left_out_text(left_out: dict[str, int]) -> str:
    """Say how many clips are not used and why."""
    parts: Sequence[str] = [f"{n} {why}" for why, n in left_out.items()]
    return f"{sum(left_out.values())} clips left out: {', '.join(parts)}"
