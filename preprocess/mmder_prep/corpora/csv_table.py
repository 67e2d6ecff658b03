"""Read a CSV table as spreadsheets write it.

The separator, the text encoding and the spelling of column names are recognized. All
problems of a file are collected, so that one run reports all of them.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmder_prep.media.regular_file import open_regular
from mmder_store.csv_text import (
    SEPARATORS,
    CsvText,
    CsvTextError,
    decode,
    guessed_encoding,
    split_text,
)
from mmder_store.errors import ManifestError, ManifestProblemsError, MediaError

MAX_BYTES = 1 << 30
"""Maximum size of a table."""
MAX_PROBLEMS = 20
"""Maximum number of different problems in a message."""
MAX_LINES = 5
"""Maximum number of line numbers per problem."""
SIMILARITY = 0.8
"""Similarity from which an unknown column is taken for a misspelled one."""


@dataclass(kw_only=True, slots=True)
class Problems:
    """Problems of a file, by their text."""

    file: Path
    kind: str = "manifest"
    """Kind of the file, for messages."""
    lines_of: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of the lines with each problem."""
    advice: list[str] = field(default_factory=list)
    """Expected values and ways out, each once."""

    @property
    def subject(self) -> str:
        """Kind and path of the file."""
        return f"{self.kind} {self.file}"

    def add(self, line: int, text: str, *advice: str) -> None:
        """Add a problem of a line, and advice that other problems may share."""
        self.lines_of.setdefault(text, []).append(line)
        self.advice += [a for a in advice if a and a not in self.advice]

    def raise_if_any(self) -> None:
        """Raise one error with all problems, if there are any.

        Raises:
            ManifestError: With the lines of each problem.
        """
        if not self.lines_of:
            return
        parts = [f"{_lines(lines)}: {text}" for text, lines in self.lines_of.items()]
        hidden = len(parts) - MAX_PROBLEMS
        parts = parts[:MAX_PROBLEMS] + ([f"{hidden} more"] if hidden > 0 else [])
        if len(parts) == 1:
            msg = "; ".join([f"{self.subject}, {parts[0]}", *self.advice])
            raise ManifestError(msg)
        count = sum(map(len, self.lines_of.values()))
        msg = "\n".join([f"{self.subject}: {count} problems", *parts, *self.advice])
        raise ManifestProblemsError(msg)


def _lines(lines: Sequence[int]) -> str:
    """Return line numbers as text, the first few if there are many."""
    shown = ", ".join(map(str, lines[:MAX_LINES]))
    hidden = len(lines) - MAX_LINES
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Cells of a CSV file by column."""

    rows: tuple[tuple[int, Mapping[str, str]], ...]
    """Number of the first line and cells of each record."""
    warnings: tuple[str, ...]
    """Lines to print about unusual properties of the file."""
    decimal_comma: bool
    """True if numbers may have a decimal comma: the separator is not a comma."""


def read_table(
    problems: Problems, *, required: Sequence[str], allowed: Sequence[str]
) -> Table:
    """Read a table. Records with a wrong number of cells are added to the problems.

    Args:
        problems: The CSV file, without problems so far.
        required: Columns that must be present.
        allowed: All columns that have a meaning.

    Raises:
        ManifestError: If the file is not a CSV table with the required columns.
    """
    text, warnings = _read_text(problems)
    table = split_text(text, is_known=lambda cell: _column_name(cell) in allowed)
    records = _records(table, problems)
    columns = [_column_name(cell) for cell in next(records, (0, []))[1]]
    while columns and not columns[-1]:
        columns.pop()
    if not columns:
        problems.raise_if_any()
    warnings += _check_columns(
        columns, problems, table.separator, required=required, allowed=allowed
    )
    rows, empty = [], 0
    for line, cells in records:
        if not any(cells):
            empty += 1
            continue
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            problems.add(
                line,
                f"expected {len(columns)} values, one per column; quote values that "
                f"contain {SEPARATORS.get(table.separator, repr(table.separator))}",
            )
            continue
        record = dict(zip(columns, cells, strict=False))
        rows.append((line, {c: record[c] for c in columns if c in allowed}))
    if empty:
        warnings.append(
            f"{problems.file.name}: {empty} lines have only empty cells, skipped"
        )
    return Table(
        rows=tuple(rows), warnings=tuple(warnings), decimal_comma=table.decimal_comma
    )


def _read_text(problems: Problems) -> tuple[str, list[str]]:
    """Return the text of a file, and a warning if its encoding had to be guessed."""
    file, subject = problems.file, problems.subject
    try:
        with open_regular(file) as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, MediaError) as error:
        reason = getattr(error, "strerror", None)
        msg = f"{subject}: " + (f"cannot be read ({reason})" if reason else "")
        raise ManifestError(msg if reason else msg + str(error)) from error
    if len(data) > MAX_BYTES:
        msg = f"{subject}: larger than 1 GiB; expected a CSV list of clips"
        raise ManifestError(msg)
    try:
        text, word = decode(data)
    except ValueError as error:
        msg = f"{subject}: cannot be read ({error})"
        raise ManifestError(msg) from error
    return text, [guessed_encoding(file.name, word)] if word else []


def _records(table: CsvText, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Yield the records up to one that is not CSV, which becomes a problem."""
    try:
        yield from table.records()
    except CsvTextError as error:
        problems.add(error.line, f"not CSV ({error})")


def _column_name(text: str) -> str:
    """Return the name of a column in lower case, with underscores between words."""
    return re.sub(r"[\s-]+", "_", text.strip().lower())


def _check_columns(
    columns: Sequence[str],
    table: Problems,
    separator: str,
    *,
    required: Sequence[str],
    allowed: Sequence[str],
) -> list[str]:
    """Return warnings about unknown columns.

    Raises:
        ManifestError: If columns are missing, repeated, without a name, or likely to be
            misspelled.
    """
    missing = [c for c in required if c not in columns]
    repeated = sorted({c for c in columns if columns.count(c) > 1})
    unknown = [c for c in columns if c not in allowed]
    absent = [c for c in allowed if c not in columns]
    near = {c: difflib.get_close_matches(c, absent, 1, SIMILARITY) for c in unknown}
    misspelled = [f"{c!r} (did you mean {n[0]!r}?)" for c, n in near.items() if n]
    named = [(w, n) for w, n in (("missing", missing), ("repeated", repeated)) if n]
    problems = [f"{word} {', '.join(map(repr, names))}" for word, names in named]
    if misspelled or (missing and unknown):
        names = misspelled + [repr(c) for c in unknown if not near[c]] * bool(missing)
        problems.append(f"unknown {', '.join(names)}")
    if problems:
        optional = [c for c in allowed if c not in required]
        found = SEPARATORS.get(separator, repr(separator))
        msg = (
            f"{table.subject}: columns {'; '.join(problems)}. Found "
            f"{len(columns)} columns separated by {found}. Expected "
            f"{', '.join(required)}"
            + (f" and optionally {', '.join(optional)}" if optional else "")
        )
        raise ManifestError(msg)
    if not unknown:
        return []
    names = [repr(c) if c else "one without a name" for c in unknown]
    return [
        f"{table.file.name}: columns without a meaning are ignored: {', '.join(names)}"
    ]
