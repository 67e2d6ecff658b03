"""A map-style PyTorch dataset of one side of one fold, for models of one's own."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.data.folds import choose_protocol, select_folds, split, with_validation
from mmder_train.data.selection import labeled_speakers, select_clips
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES

Side = Literal["train", "val", "test"]


class FusionDataset(Dataset[dict[str, Any]]):
    """Clips of one side of one fold, fused or as stored arrays.

    An item is a dictionary with

    - ``x``: fused input, float32 of shape (3, 16, 224, 224): rgb, frame, height,
      width, normalized with `image_norm`. With ``fused=False`` instead ``frames``
      (uint8, (frame, 224, 224, 3)) and ``audio`` (float16 spectrograms in dB, (window,
      frequency, time)), as far as the strategy uses them;
    - ``label``: index of the class in `classes`;
    - ``clip_id`` and ``speaker``.

    No speaker of the test side is on the train side. The dataset works with any number
    of `DataLoader` workers; each worker opens the store by itself.

    Attributes:
        classes: Names of the classes, in the order of the labels.
        clip_ids: Name of every clip of this side.
        speakers: Speaker of every clip of this side.
        labels: Label of every clip of this side.
    """

    def __init__(
        self,
        store: Store,
        *,
        strategy: str = "cfas",
        side: Side = "train",
        fold: int = 1,
        labels: str = "",
        protocol: str = "",
        fused: bool = True,
        spectrogram: Literal["stft", "mfcc", "mel", "stft-mel-mfcc"] = "stft",
        colormap: Literal["viridis", "gray"] = "viridis",
        spectrogram_norm: Literal[
            "fixed", "window", "clip", "clip-mvn", "global-mvn"
        ] = "fixed",
        image_norm: str = "imagenet",
        validation: bool = False,
        seed: int = 0,
    ) -> None:
        """Select the clips; nothing is read yet.

        Args:
            store: A sealed store.
            strategy: A name in `STRATEGIES`.
            side: ``train``, ``test``, or with `validation` also ``val``.
            fold: Number of the test fold, from 1.
            labels: Label set; empty for the store's first.
            protocol: Fold protocol; empty for the store's first.
            fused: Return the encoder input, or the stored arrays.
            spectrogram: Spectrogram that represents the audio.
            colormap: Colormap of spectrograms.
            spectrogram_norm: Normalization of spectrograms, before the colormap.
            image_norm: A name in `IMAGE_NORMS`.
            validation: Hold out one fifth of the train speakers: they form the side
                ``val`` and are not on the side ``train``.
            seed: Seed of the RFAS order and of the validation speakers.

        Raises:
            SettingsError: If the store has no such label set, protocol or fold, or the
                strategy or normalization is unknown, or if three spectrograms have a
                colormap other than gray.
        """
        if strategy not in STRATEGIES:
            msg = f"strategy {strategy!r}: expected one of {', '.join(STRATEGIES)}"
            raise SettingsError(msg)
        if image_norm not in IMAGE_NORMS:
            msg = f"image_norm {image_norm!r}: expected one of {', '.join(IMAGE_NORMS)}"
            raise SettingsError(msg)
        sets = {s.name: s for s in store.spec.label_sets}
        label_set = sets.get(labels or next(iter(sets), ""))
        if label_set is None:
            msg = f"labels {labels!r}: this store has {', '.join(sets) or 'none'}"
            raise SettingsError(msg)
        self.strategy = STRATEGIES[strategy]
        self.fused = fused
        self.seed = seed
        self.settings = RenderSettings(
            spectrogram=spectrogram,
            colormap=colormap,
            spectrogram_norm=spectrogram_norm,
            image_norm=IMAGE_NORMS[image_norm],
            sample_rate_hz=store.spec.settings.sample_rate_hz,
        )
        clips = select_clips(store, strategy=self.strategy, labels=label_set)
        speakers = labeled_speakers(store, label_set)
        chosen = choose_protocol(protocol, store.spec.protocols, speakers)
        (selected,) = select_folds(split(clips.speaker, chosen), fold, chosen)
        if side == "val" and not validation:
            msg = "side 'val': only with validation=True, which holds out speakers"
            raise SettingsError(msg)
        if validation:
            selected = with_validation(selected, clips.speaker, seed=seed)
        sides = {"train": selected.train, "val": selected.val, "test": selected.test}
        self._index: list[int] = sides[side].tolist()
        self._stored = ClipArrays(
            reader=StoreRows(store=store),
            rows=clips.row,
            strategy=self.strategy,
            spectrogram=spectrogram,
        )
        self.classes = tuple(label_set.classes)
        self.clip_ids = tuple(clips.clip_id[i] for i in self._index)
        self.speakers = tuple(clips.speaker[i] for i in self._index)
        self.labels = tuple(int(clips.label[i]) for i in self._index)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one clip."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return several clips, read together."""
        batch = self._stored.read([self._index[i] for i in indices])
        arrays = self._fuse(batch, indices) if self.fused else batch
        return [
            {name: t[k] for name, t in arrays.items() if name != "clip"}
            | {
                "label": self.labels[i],
                "clip_id": self.clip_ids[i],
                "speaker": self.speakers[i],
            }
            for k, i in enumerate(indices)
        ]

    def _fuse(
        self, batch: dict[str, Tensor], indices: Sequence[int]
    ) -> dict[str, Tensor]:
        order = frame_permutations([self.clip_ids[i] for i in indices], seed=self.seed)
        with torch.no_grad():
            x = fuse(
                batch.get("frames"),
                batch.get("audio"),
                order,
                strategy=self.strategy,
                settings=self.settings,
            )
        return {"x": x}
