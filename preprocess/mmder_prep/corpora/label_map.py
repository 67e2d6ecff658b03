"""Read a label map: words of a manifest, and the emotion of each."""

import difflib
import re
from pathlib import Path

from mmder_prep.corpora.csv_table import Problems, read_table
from mmder_store.emotions import SPELLINGS, VOCABULARY
from mmder_store.errors import ManifestError

COLUMNS = ("label", "emotion")
"""Columns of a label map."""
CLASS_NAME = re.compile(r"[^\W_][\w -]{0,39}")
"""Name of a class: letters, digits, spaces, hyphens and underscores."""
SIMILARITY = 0.8
"""Similarity from which a class is taken for a misspelled word of the vocabulary."""


def read_label_map(file: Path) -> dict[str, str]:
    """Read a CSV file with the columns ``label`` and ``emotion``.

    The emotion is a word of the vocabulary, the name of a class of one's own, or empty
    for clips that are never trained on. A class of one's own is also a label.

    Returns:
        The emotion of each label. Labels are in lower case.

    Raises:
        ManifestError: With every invalid line.
    """
    problems = Problems(file=file, kind="label map")
    table = read_table(problems, required=COLUMNS, allowed=COLUMNS)
    emotion_of: dict[str, str] = {}
    for line, record in table.rows:
        label = " ".join(record["label"].lower().split())
        emotion = " ".join(record["emotion"].lower().split())
        emotion = SPELLINGS.get(emotion, emotion)
        near = difflib.get_close_matches(emotion, VOCABULARY, 1, SIMILARITY)
        if not label:
            problems.add(line, "label '' is empty")
        elif emotion and not CLASS_NAME.fullmatch(emotion):
            problems.add(
                line,
                f"emotion {emotion[:60]!r}: expected at most 40 letters, digits, "
                "spaces, hyphens and underscores",
            )
        elif near and near[0] != emotion:
            problems.add(line, f"emotion {emotion!r}: did you mean {near[0]!r}?")
        elif emotion_of.setdefault(label, emotion) != emotion:
            problems.add(
                line,
                f"label {label!r} is already mapped to {emotion_of[label]!r}",
            )
    problems.raise_if_any()
    if not emotion_of:
        msg = f"{problems.subject}: has no labels, only the line of column names"
        raise ManifestError(msg)
    own = {e: e for e in emotion_of.values() if e and e not in VOCABULARY}
    return own | emotion_of
