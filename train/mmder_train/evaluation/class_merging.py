"""Scores over fewer classes, from the outputs of a head trained on more classes.

Results on RAVDESS are reported with eight classes, or with seven by merging calm into
neutral. A run with eight classes yields both scores. The second score is not that of a
run with seven classes and is always labeled as merged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from mmder_store import LabelSet
from mmder_train.evaluation.run_directory import FoldResult

Rows = tuple[tuple[float, ...], ...]
"""Probabilities of the classes, one row per clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMerge:
    """A label set whose classes are unions of the trained classes."""

    labels: LabelSet
    """The label set after merging."""
    class_map: tuple[int, ...]
    """Index in the label set of each trained class."""

    @property
    def title(self) -> str:
        """Title that cannot be confused with the scores of another head."""
        return f"{self.labels.name} from {len(self.class_map)} outputs"

    def merge(self, record: FoldResult) -> FoldResult:
        """Return the result of a fold over the merged classes."""
        return replace(
            record,
            label=tuple(self.class_map[i] for i in record.label),
            probability=self._merge_rows(record.probability),
            dropped={m: self._merge_rows(rows) for m, rows in record.dropped.items()},
        )

    def _merge_rows(self, rows: Sequence[Sequence[float]]) -> Rows:
        merged = merge_probabilities(
            np.array(rows), self.class_map, classes=len(self.labels.classes)
        )
        return tuple(map(tuple, merged.tolist()))


def merge_probabilities(
    probability: Float64[np.ndarray, "clip class"],
    class_map: tuple[int, ...],
    *,
    classes: int,
) -> Float64[np.ndarray, "clip {classes}"]:
    """Return the probability of each merged class: the sum over its trained classes.

    Args:
        probability: Probability of each trained class.
        class_map: Index of the merged class for each trained class.
        classes: Number of merged classes.
    """
    return probability @ np.eye(classes)[list(class_map)]


def class_map(trained: LabelSet, fewer: LabelSet) -> tuple[int, ...] | None:
    """Return the index of the merged class for each trained class.

    Returns:
        None unless every class of `fewer` is a union of classes of `trained`. This
        fails if they cover different emotions, if a class would be split, or if their
        labels come from different columns.
    """
    same = trained.column == fewer.column and set(trained.class_of) == set(
        fewer.class_of
    )
    if not same or len(fewer.classes) >= len(trained.classes):
        return None
    pairs = {(trained.label(e), fewer.label(e)) for e in trained.class_of}
    merged_index = dict(pairs)
    is_union = len(pairs) == len(merged_index) == len(trained.classes)
    if not is_union:
        return None
    return tuple(merged_index[i] for i in range(len(merged_index)))


def available_merges(
    trained: LabelSet, sets: Iterable[LabelSet]
) -> tuple[ClassMerge, ...]:
    """Return the label sets that a head trained on another one can be scored with.

    The names become part of file names. Names with other characters than letters,
    digits and dashes are skipped.
    """
    candidates = (
        (s, class_map(trained, s)) for s in sets if re.fullmatch(r"[a-z0-9-]+", s.name)
    )
    return tuple(
        ClassMerge(labels=labels, class_map=index)
        for labels, index in candidates
        if index is not None
    )
