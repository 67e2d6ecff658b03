"""Published contents of a corpus, to compare a copy with."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from mmder_prep.corpora.manifest import ManifestRow, write_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedContents:
    """Published contents of a complete copy of a corpus."""

    counts: Mapping[str, Mapping[str, int]]
    """Number of clips per value, by column of the manifest; 0 if unknown."""
    source: str
    """Source of the numbers."""
    rows: tuple[ManifestRow, ...] = ()
    """All clips. Empty if the license does not allow to publish the list."""
    separate_audio: bool = False
    """True if the audio of every clip is in a separate file."""
    exact: bool = True
    """True if a complete copy has exactly these counts; else they are upper bounds."""


def expected_from_rows(rows: Sequence[ManifestRow], *, source: str) -> ExpectedContents:
    """Return the contents of a corpus with a published list of clips."""
    return ExpectedContents(
        counts=count_clips(rows),
        source=source,
        rows=tuple(rows),
        separate_audio=all(row.sound for row in rows),
    )


def count_clips(rows: Sequence[ManifestRow]) -> dict[str, dict[str, int]]:
    """Count the clips per emotion and per speaker."""
    return {
        column: dict(sorted(Counter(getattr(row, column) for row in rows).items()))
        for column in ("emotion", "speaker")
    }


def write(published: ExpectedContents, out: TextIO) -> None:
    """Write the list of clips as a manifest, or the counts if there is no list."""
    if published.rows:
        write_rows(published.rows, out)
        return
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("column", "value", "clips"))
    for column, values in published.counts.items():
        for value, clips in values.items():
            table.writerow((column, value, clips or "some"))
