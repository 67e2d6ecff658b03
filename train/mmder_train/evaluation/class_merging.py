"""Scores over fewer classes, from the outputs of a head that was trained on more.

RAVDESS is reported with eight classes and with seven, calm joined with neutral. A run
of eight gives both; the second is no run of seven and is never called one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from mmder_store import LabelSet
from mmder_train.evaluation.run_directory import FoldResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMerge:
    """A label set each of whose classes is some of the classes trained."""

    labels: LabelSet
    class_map: tuple[int, ...]
    """Of each class trained, its position in the label set."""

    @property
    def title(self) -> str:
        """Name the scores so that nobody takes them for those of another head."""
        return f"{self.labels.name} from {len(self.class_map)} outputs"

    def merge(self, record: FoldResult) -> FoldResult:
        """Give what a fold predicts over the fewer classes."""
        share = shares(
            np.array(record.probability),
            self.class_map,
            classes=len(self.labels.classes),
        )
        return replace(
            record,
            label=tuple(self.class_map[i] for i in record.label),
            probability=tuple(map(tuple, share.tolist())),
        )


def shares(
    share: Float64[np.ndarray, "clip class"], place: tuple[int, ...], *, classes: int
) -> Float64[np.ndarray, "clip {classes}"]:
    """Give the probability of each class that is any of some others: their sum.

    Args:
        share: Probability of every class that was trained.
        place: Of each, the position of the class that it becomes part of.
        classes: How many those are.
    """
    return share @ np.eye(classes)[list(place)]


def class_map(trained: LabelSet, fewer: LabelSet) -> tuple[int, ...] | None:
    """Give the position of every trained class among fewer ones.

    None where one set is not the other with classes joined: where they hold other
    emotions, or would cut a class, or differ in whose word counts.
    """
    same = trained.column == fewer.column and set(trained.class_of) == set(
        fewer.class_of
    )
    if not same or len(fewer.classes) >= len(trained.classes):
        return None
    pairs = {(trained.label(e), fewer.label(e)) for e in trained.class_of}
    place = dict(pairs)
    whole = len(pairs) == len(place) == len(trained.classes)
    return tuple(place[i] for i in range(len(place))) if whole else None


def available_merges(
    trained: LabelSet, sets: Iterable[LabelSet]
) -> tuple[ClassMerge, ...]:
    """Give the label sets that a head trained on another can be scored with.

    Their names become part of file names; those with a path in them are passed over.
    """
    found = (
        (s, class_map(trained, s)) for s in sets if re.fullmatch(r"[a-z0-9-]+", s.name)
    )
    return tuple(ClassMerge(labels=s, class_map=p) for s, p in found if p is not None)
