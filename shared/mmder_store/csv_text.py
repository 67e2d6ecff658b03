"""Text of CSV files as spreadsheets and programs write it.

The text encoding and the separator are recognized. Pure functions on bytes and text,
shared by the lists of clips and the files of predictions.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Separators that are recognized, and their names."""
SEPARATOR_LINE = re.compile(r"sep=(.)(?:\r\n|\r|\n)", re.IGNORECASE)
"""First line that Excel writes and reads, with the separator."""


class CsvTextError(ValueError):
    """A record that is not CSV."""

    def __init__(self, line: int, reason: str) -> None:
        """Create the error.

        Args:
            line: Number of the first line of the record.
            reason: Reason of the parser.
        """
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvText:
    """Text of a CSV file and its separator."""

    text: str
    """Text without the line that names the separator."""
    separator: str
    skipped: int
    """Number of lines before `text`."""

    @property
    def decimal_comma(self) -> bool:
        """True if numbers may have a decimal comma: the separator is not a comma."""
        return self.separator != ","

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line number and the stripped cells of each record.

        Raises:
            CsvTextError: If a record is not CSV.
        """
        # With newline="", a line break in a quoted cell is kept, and no other character
        # than CR and LF ends a line.
        reader = csv.reader(
            io.StringIO(self.text, newline=""),
            delimiter=self.separator,
            strict=True,
            skipinitialspace=self.separator != "\t",
        )
        line = 1
        try:
            for cells in reader:
                if cells:
                    yield line + self.skipped, [cell.strip() for cell in cells]
                line = reader.line_num + 1
        except csv.Error as error:
            raise CsvTextError(line + self.skipped, str(error)) from error


def decode(data: bytes) -> tuple[str, str]:
    """Decode UTF-8, UTF-16 with a byte order mark, or Windows-1252.

    Returns:
        The text, and a word whose letters show whether Windows-1252 is right. The word
        is empty if the encoding is certain.

    Raises:
        ValueError: If the bytes are not text.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if encoding != "cp1252":
            return text, ""
        words = re.findall(r"[\w.-]+", text)
        return text, next((w for w in words if not w.isascii()), "")[:40]
    msg = "not text; save it as UTF-8 CSV"
    raise ValueError(msg)


def guessed_encoding(name: str, word: str) -> str:
    """Return the warning about a file that is not UTF-8.

    Args:
        name: Name of the file.
        word: Word from `decode`.
    """
    return (
        f"{name}: not UTF-8, read as Windows-1252; check names such as {word!r}, or "
        "save the file as UTF-8"
    )


def split_text(text: str, *, is_known: Callable[[str], bool]) -> CsvText:
    """Find the separator of a text.

    A line ``sep=;`` names it. Otherwise it is the one that yields most known columns,
    else most columns.

    Args:
        text: Text of the file.
        is_known: Function that returns whether a column of this name has a meaning.
    """
    marked = SEPARATOR_LINE.match(text)
    if marked is not None:
        return CsvText(text=text[marked.end() :], separator=marked[1], skipped=1)
    candidates = [CsvText(text=text, separator=s, skipped=0) for s in SEPARATORS]

    def columns(candidate: CsvText) -> tuple[int, int]:
        try:
            cells = next(candidate.records(), (0, []))[1]
        except CsvTextError:
            cells = []
        return sum(map(is_known, cells)), len(cells)

    return max(candidates, key=columns)
