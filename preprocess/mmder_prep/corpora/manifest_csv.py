"""Parsing of the lines and cells of a manifest file."""

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmder_store.emotions import VOCABULARY
from mmder_store.errors import ManifestError

MAX_BYTES = 1 << 30
"""Maximum size of a manifest file."""


def read_records(
    file: Path, *, required: Sequence[str], allowed: Sequence[str]
) -> Iterable[tuple[int, Mapping[str, str]]]:
    """Yield the line number and the cells by column of every clip.

    Args:
        file: The CSV file.
        required: Columns that must be present.
        allowed: All columns that may be present.

    Raises:
        ManifestError: If the file is not a CSV table with the required columns.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            msg = f"manifest {file}: larger than 1 GiB; expected a CSV list of clips"
            raise ManifestError(msg)
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None)
        reason = reason or "not UTF-8 text; save it as UTF-8 CSV"
        msg = f"manifest {file}: cannot be read ({reason})"
        raise ManifestError(msg) from error
    reader = csv.DictReader(text.splitlines(), strict=True, skipinitialspace=True)
    try:
        columns = [c.strip() for c in reader.fieldnames or []]
        reader.fieldnames = columns
        _check_columns(columns, file, required=required, allowed=allowed)
        for record in reader:
            if None in record or None in record.values():
                msg = (
                    f"manifest {file}, line {reader.line_num}: expected {len(columns)} "
                    "values, one per column; quote values that contain a comma"
                )
                raise ManifestError(msg)
            yield reader.line_num, {k: v.strip() for k, v in record.items()}
    except csv.Error as error:
        msg = f"manifest {file}, line {reader.line_num}: not CSV ({error})"
        raise ManifestError(msg) from error


def _check_columns(
    columns: Sequence[str],
    file: Path,
    *,
    required: Sequence[str],
    allowed: Sequence[str],
) -> None:
    """Raise an error if columns are missing, unknown or repeated."""
    missing = [c for c in required if c not in columns]
    unknown = [c for c in columns if c not in allowed]
    if missing or unknown or len(set(columns)) != len(columns):
        problems = "; ".join(
            f"{word} {', '.join(map(repr, names))}"
            for word, names in (("missing", missing), ("unknown", unknown))
            if names
        )
        optional = [c for c in allowed if c not in required]
        msg = (
            f"manifest {file}: columns {problems or 'repeated'}. Expected "
            f"{', '.join(required)} and optionally {', '.join(optional)}"
        )
        raise ManifestError(msg)


def parse_text(column: str, text: str) -> str:
    """Return the text of a cell that must not be empty.

    Raises:
        ValueError: If it is empty, too long, or not printable.
    """
    if 1 <= len(text) <= 1000 and text.isprintable():
        return text
    msg = f"{column} {text[:40]!r}: expected 1 to 1000 printable characters"
    raise ValueError(msg)


def parse_emotion(column: str, text: str) -> str:
    """Return a word of the vocabulary, or an empty text.

    Raises:
        ValueError: If the word is unknown.
    """
    emotion = text.lower()
    if not emotion or emotion in VOCABULARY:
        return emotion
    near = difflib.get_close_matches(emotion, VOCABULARY, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    words = ", ".join(VOCABULARY)
    msg = f"{column} {text!r} is unknown{hint}: expected one of {words}, or empty"
    raise ValueError(msg)


def parse_seconds(column: str, text: str) -> float | None:
    """Return a time in seconds, None for an empty cell.

    Raises:
        ValueError: If it is not a number from 0.
    """
    if not text:
        return None
    if re.fullmatch(r"\d{1,6}(\.\d*)?", text):
        return float(text)
    msg = f"{column} {text!r}: expected seconds from the start of the file, e.g. 12.5"
    raise ValueError(msg)


def parse_crop(text: str) -> str:
    """Return a crop in its normal form, or an empty text.

    Raises:
        ValueError: If it is neither a half nor four integers.
    """
    crop = " ".join(text.lower().split())
    if crop in ("", "left", "right") or re.fullmatch(r"\d{1,5}( \d{1,5}){3}", crop):
        return crop
    msg = (
        f"crop {text!r}: expected left, right, or four integers in pixels, separated "
        "by spaces: left top right bottom"
    )
    raise ValueError(msg)


def parse_fold(text: str) -> int | None:
    """Return the number of a fold, None for an empty cell.

    Raises:
        ValueError: If it is not an integer from 1.
    """
    if not text or re.fullmatch(r"[1-9]\d{0,3}", text):
        return int(text) if text else None
    msg = f"fold {text!r}: expected an integer from 1"
    raise ValueError(msg)
