"""Read CSV files that other programs wrote, with clear errors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmder_store.csv_text import (
    CsvTextError,
    decode,
    guessed_encoding,
    split_text,
)
from mmder_store.errors import SettingsError

MAX_BYTES = 1 << 30
"""Maximum size of a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvFile:
    """Header and rows of a CSV file."""

    name: str
    """File name, for messages."""
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Line number and cells of each row, without the header. Each row has as many cells
    as the header."""
    decimal_comma: bool
    """True if numbers may have a decimal comma: the separator is not a comma."""
    warnings: tuple[str, ...]
    """Lines to print about unusual properties of the file."""

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        index = self.columns.index(name)
        return [cells[index] for _, cells in self.rows]

    def error(self, row: int, problem: str) -> SettingsError:
        """Return an error about a row.

        Args:
            row: Index of the row.
            problem: Value found, value expected, and the way out.
        """
        return SettingsError(f"{self.name}, line {self.rows[row][0]}: {problem}")


def read_csv(path: Path, *, required: Sequence[str]) -> CsvFile:
    """Read a CSV file with a header; spaces around cells are removed.

    Args:
        path: A file as spreadsheets and programs write it; see `csv_text`.
        required: Columns that the header must have.

    Raises:
        SettingsError: If the file is missing, is not such a file, or has no rows.
    """
    if not path.is_file():
        problem = "not a file" if path.exists() else "no such file"
        msg = f"{path}: {problem}; expected a CSV file with a header"
        raise SettingsError(msg)
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path}: larger than {MAX_BYTES >> 20} MiB; expected one row per clip"
        raise SettingsError(msg)
    content = path.read_bytes()
    try:
        text, word = decode(content)
        table = split_text(text, is_known=lambda cell: cell.strip() in required)
        lines = [(n, tuple(cells)) for n, cells in table.records() if any(cells)]
    except CsvTextError as error:
        msg = f"{path.name}, line {error.line}: not CSV ({error})"
        raise SettingsError(msg) from error
    except ValueError as error:
        msg = f"{path}: {error}"
        raise SettingsError(msg) from error
    columns = lines[0][1] if lines else ()
    missing = [name for name in required if name not in columns]
    if missing or len(set(columns)) < len(columns):
        problem = f"no column {missing[0]!r}" if missing else "two columns of one name"
        found = ", ".join(columns)[:80]
        msg = f"{path}: {problem} in the header ({found}); expected unique columns"
        raise SettingsError(msg)
    if len(lines) < 2:
        msg = f"{path}: no rows; expected one per clip"
        raise SettingsError(msg)
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            msg = (
                f"{path.name}, line {line}: {len(cells)} cells; expected "
                f"{len(columns)}, as in the header"
            )
            raise SettingsError(msg)
    return CsvFile(
        name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        columns=columns,
        rows=tuple(lines[1:]),
        decimal_comma=table.decimal_comma,
        warnings=(guessed_encoding(path.name, word),) if word else (),
    )
