"""Emotion names, and label sets that map them to classes.

A store keeps the emotion names of its corpus. A `LabelSet` maps them to classes at
training time. It is kept in the store, so the trainer needs no other file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

VOCABULARY = (
    "angry",
    "anxious",
    "calm",
    "contempt",
    "disappointed",
    "disgust",
    "excited",
    "fearful",
    "frustrated",
    "happy",
    "helpless",
    "neutral",
    "sad",
    "surprised",
)
"""Emotion names of the supported corpora."""
SPELLINGS: Mapping[str, str] = {
    spelling: emotion
    for emotion, spellings in {
        "angry": ("anger", "ang"),
        "anxious": ("anxiety",),
        "calm": ("calmness",),
        "contempt": ("contemptuous",),
        "disappointed": ("disappointment",),
        "disgust": ("disgusted", "dis"),
        "excited": ("excitement", "exc"),
        "fearful": ("fear", "fea", "afraid", "scared"),
        "frustrated": ("frustration", "fru"),
        "happy": ("happiness", "joy", "hap"),
        "helpless": ("helplessness",),
        "neutral": ("neutrality", "neu"),
        "sad": ("sadness",),
        "surprised": ("surprise", "sur"),
    }.items()
    for spelling in spellings
}
"""Emotion name of each other usual spelling, in lower case: the nouns, and the codes of
CREMA-D and IEMOCAP."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """A mapping from the emotions of a corpus to classes."""

    name: str
    """Name, as in ``--labels``."""
    classes: tuple[str, ...]
    """Class names; the index of a class is its label."""
    class_of: Mapping[str, str]
    """Class of each emotion. Clips of other emotions are not used."""
    column: str = "emotion"
    """Column of the store that the emotion is read from."""

    def label(self, emotion: str) -> int:
        """Return the label of an emotion, or -1 if the set has no class for it."""
        name = self.class_of.get(emotion)
        return -1 if name is None else self.classes.index(name)

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the attributes of a store."""
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
    """Build a label set.

    Args:
        name: Name, as in ``--labels``.
        classes: Class names; each is also the emotion of that class.
        merged: Class of each further emotion.
        column: Column of the store that the emotion is read from.
    """
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
        # The eight emotions of the corpus, in the order of their codes 01 to 08.
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
        # The emotion that the actor was asked to show; most papers report this one.
        label_set("cremad-6", _CREMAD),
        # The four classes of papers on four classes.
        label_set("cremad-4", ("angry", "happy", "neutral", "sad")),
        # The emotion most raters perceived in voice, face or both; ties have no class.
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
        label_set(
            "savee-7",
            ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"),
        ),
        label_set(
            "enterface-6",
            ("angry", "disgust", "fearful", "happy", "sad", "surprised"),
        ),
        label_set("msp-improv-4", ("angry", "happy", "neutral", "sad")),
        # The classes of DFEW and MAFW in the order of their publishers.
        label_set(
            "dfew-7",
            ("happy", "sad", "neutral", "angry", "surprised", "disgust", "fearful"),
        ),
        label_set(
            "mafw-11",
            (
                *("angry", "disgust", "fearful", "happy", "neutral", "sad"),
                *("surprised", "contempt", "anxious", "helpless", "disappointed"),
            ),
        ),
    )
}
"""Label sets by name."""
