"""What a corpus' publisher and its users say is in it, to check a copy against."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from mmder_prep.corpora.manifest import ManifestRow, write_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedContents:
    """A corpus as it should be."""

    counts: Mapping[str, Mapping[str, int]]
    """Clips of each value, by column of the manifest."""
    source: str
    """Where the numbers come from."""
    rows: tuple[ManifestRow, ...] = ()
    """Every clip; none where the licence keeps the list with the publisher."""
    separate_audio: bool = False
    """Whether the sound of every clip has a file of its own."""
    exact: bool = True
    """Whether a whole copy has these very numbers; else they are its upper bounds."""


def listed(rows: Sequence[ManifestRow], *, source: str) -> ExpectedContents:
    """Describe a corpus whose every clip is known."""
    return ExpectedContents(
        counts=counted(rows),
        source=source,
        rows=tuple(rows),
        separate_audio=all(row.sound for row in rows),
    )


def counted(rows: Sequence[ManifestRow]) -> dict[str, dict[str, int]]:
    """Count the clips of every emotion and of every speaker."""
    return {
        column: dict(sorted(Counter(getattr(row, column) for row in rows).items()))
        for column in ("emotion", "speaker")
    }


def write(published: ExpectedContents, out: TextIO) -> None:
    """Write the list of clips as a manifest; without one, the counts, both as CSV."""
    if published.rows:
        write_rows(published.rows, out)
        return
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("column", "value", "clips"))
    for column, values in published.counts.items():
        for value, clips in values.items():
            table.writerow((column, value, clips or "some"))
