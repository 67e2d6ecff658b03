"""Parsing of the cells of a manifest file."""

import difflib
import re
from collections.abc import Mapping

from mmder_store.emotions import SPELLINGS, VOCABULARY

EMOTION_ADVICE = (
    f"expected one of {', '.join(VOCABULARY)}, or empty; map other words and "
    "classes of your own with --label-map"
)
"""Advice on an unknown emotion."""


def parse_text(column: str, text: str) -> str:
    """Return the text of a cell that must not be empty.

    Raises:
        ValueError: If it is empty, too long, or not printable.
    """
    if 1 <= len(text) <= 1000 and text.isprintable():
        return text
    msg = f"{column} {text[:40]!r}: expected 1 to 1000 printable characters"
    raise ValueError(msg)


def parse_path(column: str, text: str) -> str:
    """Return the path in a cell that must not be empty.

    Raises:
        ValueError: If it is empty, too long, not printable, or an address.
    """
    if "://" in text:
        msg = f"{column} {text[:40]!r}: expected a path relative to the media folder"
        raise ValueError(msg, "addresses are not supported; copy the file there")
    return parse_text(column, text)


def parse_optional_path(column: str, text: str) -> str:
    """Return the path in a cell that may be empty.

    Raises:
        ValueError: If it is too long, not printable, or an address.
    """
    return parse_path(column, text) if text else ""


def parse_optional_text(column: str, text: str) -> str:
    """Return the text of a cell that may be empty.

    Raises:
        ValueError: If it is too long, or not printable.
    """
    return parse_text(column, text) if text else ""


def parse_note(column: str, text: str) -> str:
    """Return the text of a cell that may be empty, with its lines joined by spaces.

    Raises:
        ValueError: If it is too long, or not printable.
    """
    return parse_optional_text(column, re.sub(r"\s*[\r\n]\s*", " ", text))


def parse_emotion(
    column: str, text: str, label_map: Mapping[str, str] | None = None
) -> str:
    """Return a word of the vocabulary or of the label map, or an empty text.

    Args:
        column: Name of the column.
        text: A word in any usual spelling.
        label_map: Emotion of each word, in lower case; it has precedence.

    Raises:
        ValueError: If the word is unknown.
    """
    word = " ".join(text.lower().split())
    if label_map and word in label_map:
        return label_map[word]
    if not word or word in VOCABULARY:
        return word
    if word in SPELLINGS:
        return SPELLINGS[word]
    near = difflib.get_close_matches(word, VOCABULARY, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    msg = f"{column} {text!r} is unknown{hint}"
    raise ValueError(msg, EMOTION_ADVICE)


def parse_seconds(
    column: str, text: str, *, decimal_comma: bool = False, signed: bool = False
) -> float | None:
    """Return a time in seconds, None for an empty cell.

    Args:
        column: Name of the column.
        text: The number.
        decimal_comma: True if a comma is read as a decimal point.
        signed: True if the time may be before the start of the file.

    Raises:
        ValueError: If it is not such a number.
    """
    if not text:
        return None
    number = text.replace(",", ".") if decimal_comma else text
    if re.fullmatch(r"-?\d{1,6}(\.\d*)?" if signed else r"\d{1,6}(\.\d*)?", number):
        return float(number)
    msg = f"{column} {text!r}: expected seconds from the start of the file, e.g. 12.5"
    raise ValueError(msg)


def parse_crop(column: str, text: str) -> str:
    """Return a crop in its normal form, or an empty text.

    Raises:
        ValueError: If it is neither a half nor four integers.
    """
    crop = " ".join(text.lower().split())
    if crop in ("", "left", "right") or re.fullmatch(r"\d{1,5}( \d{1,5}){3}", crop):
        return crop
    msg = (
        f"{column} {text!r}: expected left, right, or four integers in pixels, "
        "separated by spaces: left top right bottom"
    )
    raise ValueError(msg)


def parse_fold(column: str, text: str) -> int | None:
    """Return the number of a fold, None for an empty cell.

    Raises:
        ValueError: If it is not an integer from 1.
    """
    if not text or re.fullmatch(r"[1-9]\d{0,3}", text):
        return int(text) if text else None
    msg = f"{column} {text!r}: expected an integer from 1"
    raise ValueError(msg)
