"""What an emotion is called, and which classes are trained.

A store keeps the emotion its corpus names. A `LabelSet` maps emotions to classes at
training time; it travels inside the store, so the trainer needs nothing else.
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
    column: str = "emotion"
    """Column of the store that holds the emotion: whose word counts."""

    def label(self, emotion: str) -> int:
        """Give the label of an emotion, or -1 where the set has no class for it."""
        name = self.class_of.get(emotion)
        return -1 if name is None else self.classes.index(name)

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in a store's attributes."""
        return {
            "classes": list(self.classes),
            "class_of": dict(self.class_of),
            "column": self.column,
        }


def label_set(
    name: str,
    classes: Iterable[str],
    merged: Mapping[str, str] | None = None,
    *,
    column: str = "emotion",
) -> LabelSet:
    """Build a label set in which every class is itself, and `merged` joins some."""
    classes = tuple(classes)
    class_of = {c: c for c in classes} | dict(merged or {})
    return LabelSet(name=name, classes=classes, class_of=class_of, column=column)


_CREMAD = ("angry", "disgust", "fearful", "happy", "neutral", "sad")

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
        # What the actor was asked to show; what most papers report.
        label_set("cremad-6", _CREMAD),
        # The four that papers on four classes keep.
        label_set("cremad-4", ("angry", "happy", "neutral", "sad")),
        # What the crowd heard, saw, or found in both; ties have no class.
        label_set("cremad-6-voice", _CREMAD, column="rated_voice"),
        label_set("cremad-6-face", _CREMAD, column="rated_face"),
        label_set("cremad-6-both", _CREMAD, column="rated_both"),
        # Paper: IV-A3, four emotions; excited counts as happy, as in AV-SUPERB.
        label_set(
            "iemocap-4", ("angry", "happy", "neutral", "sad"), {"excited": "happy"}
        ),
        label_set(
            "mead-8",
            (
                "angry",
                "contempt",
                "disgust",
                "fearful",
                "happy",
                "neutral",
                "sad",
                "surprised",
            ),
        ),
    )
}
