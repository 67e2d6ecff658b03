"""The emotion of new clips: prepared as those of the run, through all of its models."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
from torch import Tensor

from mmder_train.data.dataset import load_arrays
from mmder_train.data.selection import accepted_statuses
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.trained_run import TrainedRun
from mmder_train.runtime.device import ENCODE_BATCH_SIZE


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is said of one clip."""

    clip: PreparedClip
    probability: tuple[float, ...] | None
    """Of each class; None where the clip lacks what the strategy takes."""

    def without_arrays(self) -> "Prediction":
        """Give the same, small enough to keep of thousands of clips."""
        return replace(self, clip=replace(self.clip, arrays={}))

    def emotion(self, classes: Sequence[str]) -> str:
        """Name the most probable class, empty where nothing is said."""
        if self.probability is None:
            return ""
        return classes[self.probability.index(max(self.probability))]


def predict_clips(
    clips: Iterable[PreparedClip], kept: TrainedRun
) -> Iterator[Prediction]:
    """Predict clips in batches, in their order.

    A clip whose status the strategy cannot use gets no emotion, as in training.

    Args:
        clips: From `prepared.prepared`.
        kept: The models.
    """
    serves, waiting = accepted_statuses(kept.strategy), iter(clips)
    while group := list(islice(waiting, ENCODE_BATCH_SIZE[kept.device.type])):
        good = [clip for clip in group if clip.status in serves]
        found = iter(_probabilities(good, kept) if good else ())
        for clip in group:
            share = next(found) if clip.status in serves else None
            yield Prediction(clip=clip, probability=share)


def _probabilities(
    clips: Sequence[PreparedClip], kept: TrainedRun
) -> list[tuple[float, ...]]:
    there = {k: t.to(kept.device) for k, t in arrays_to_batch(clips, kept).items()}
    places = frame_permutations([clip.clip_id for clip in clips], seed=kept.seed)
    x = fuse(
        there.get("frames"),
        there.get("sound"),
        places.to(kept.device),
        strategy=kept.strategy,
        look=kept.render_settings,
    )
    return [tuple(share) for share in kept.probabilities(x).tolist()]


def arrays_to_batch(
    clips: Sequence[PreparedClip], kept: TrainedRun
) -> dict[str, Tensor]:
    """Give what the strategy takes of clips, as a store would."""
    return load_arrays(
        lambda name: np.stack([clip.arrays[name] for clip in clips]),
        strategy=kept.strategy,
        audio=kept.render_settings.spectrogram,
    )


def overlap_warnings(kept: TrainedRun, names: Iterable[str]) -> list[str]:
    """Say what predictions rest on, and which clips the models have met.

    A clip of a name that a model was trained on is told better than a new one.
    """
    names = list(names)
    mean = "mean of the models" if len(kept.folds) > 1 else "the model"
    found = [
        f"{kept.strategy.name} ({kept.strategy.equation}), {mean} of "
        f"{kept.folds_text()}, {len(kept.classes)} classes ({kept.labels})"
    ]
    met = {name: folds for name in names if (folds := _met(kept, name))}
    if met:
        name, by = next(iter(met.items()))
        found.append(
            f"{len(met)} of {len(names)} clips are called as one that was trained on, "
            f"the first {name} (fold {', '.join(map(str, by))}): what is said of them "
            "says nothing of new clips. --fold K takes the model of one fold."
        )
    return found


def _met(kept: TrainedRun, name: str) -> list[int]:
    names = {name, PurePosixPath(name).name, PurePosixPath(name).stem}
    return [fold for fold in kept.folds if names & kept.trained[fold]]
