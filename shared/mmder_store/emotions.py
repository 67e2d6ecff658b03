"""What an emotion is called, which classes are trained, who is tested when.

A store keeps the emotion its corpus names. A `LabelSet` maps emotions to
classes at training time, a `FoldProtocol` maps speakers to folds; both travel
inside the store, so the trainer needs nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

VOCABULARY = (
    "angry",
    "calm",
    "contempt",
    "disgust",
    "excited",
    "fearful",
    "frustrated",
    "happy",
    "neutral",
    "sad",
    "surprised",
)
"""Every emotion the project knows by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """A choice of classes over the emotions of a corpus."""

    name: str
    """What the user writes behind ``--labels``."""
    classes: tuple[str, ...]
    """Class names; the position is the label."""
    class_of: Mapping[str, str]
    """Emotion to class; emotions left out here are not trained on."""

    def label(self, emotion: str) -> int:
        """Give the label of an emotion, or -1 where the set has no class for it."""
        name = self.class_of.get(emotion)
        return -1 if name is None else self.classes.index(name)

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in a store's attributes."""
        return {"classes": list(self.classes), "class_of": dict(self.class_of)}


def label_set(
    name: str, classes: Iterable[str], merged: Mapping[str, str] | None = None
) -> LabelSet:
    """Build a label set in which every class is itself, and `merged` joins some."""
    classes = tuple(classes)
    class_of = {c: c for c in classes} | dict(merged or {})
    return LabelSet(name=name, classes=classes, class_of=class_of)


LABEL_SETS = {
    s.name: s
    for s in (
        # Paper: IV-A1, seven emotions, "288 videos for the neutral emotion": the
        # 96 neutral and the 192 calm takes. The order is not stated; alphabetical.
        label_set(
            "ravdess-7",
            ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"),
            {"calm": "neutral"},
        ),
        # The corpus' own eight, in the order of their codes 01 to 08.
        label_set(
            "ravdess-8",
            (
                "neutral",
                "calm",
                "happy",
                "sad",
                "angry",
                "fearful",
                "disgust",
                "surprised",
            ),
        ),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldProtocol:
    """A published or stated way to split speakers into test folds."""

    name: str
    """What results call it."""
    fold_of: Mapping[str, int]
    """Speaker to the fold (from 1) in which the speaker is tested."""
    source: str
    """Where the split comes from."""

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in a store's attributes."""
        return {"fold_of": dict(self.fold_of), "source": self.source}


PROTOCOLS = {
    p.name: p
    for p in (
        FoldProtocol(
            name="ravdess-contiguous-6",
            fold_of={f"{actor:02d}": (actor - 1) // 4 + 1 for actor in range(1, 25)},
            source="six folds of four consecutive actors, as in MAE-DFER, HiCMAE, MSAF",
        ),
    )
}
