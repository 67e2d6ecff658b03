"""Metrics of a run: ``metrics.jsonl``, one JSON object per epoch."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from mmder_store.atomic_files import atomic_write, name_file_in_errors
from mmder_store.errors import SettingsError

Tags = Mapping[str, str | int]
"""Values that identify a training in the file, such as its strategy and fold."""


@dataclass(kw_only=True, slots=True)
class MetricsFile:
    """A file that grows by one line per epoch, and survives a kill at any instant.

    Each line is written by one system call. A line that was cut off is removed before
    the next one is written. No other process may write to the file.
    """

    path: Path
    _file: FileIO | None = None

    def remove_after(self, tags: Sequence[Tags], *, epoch: int) -> None:
        """Remove the lines of epochs that will be trained again.

        Args:
            tags: Tags of the trainings, all with the same names.
            epoch: Number of the last epoch whose line is kept.

        Raises:
            SettingsError: If the file is damaged.
        """
        self.close()
        if not tags or not self.path.exists():
            return
        names = tuple(tags[0])
        again = {tuple(t[name] for name in names) for t in tags}
        content = self.path.read_bytes()
        kept = b"".join(
            line
            for line, row in _complete_lines(self.path, content)
            if row["epoch"] <= epoch
            or tuple(row.get(name) for name in names) not in again
        )
        if kept != content:
            with atomic_write(self.path) as draft:
                draft.write_bytes(kept)

    def append(self, row: Mapping[str, Any]) -> None:
        """Append the metrics of an epoch. A value that is not finite becomes null.

        Raises:
            OSError: If the line cannot be written as a whole. The error names the file.
        """
        finite = {
            name: None if isinstance(v, float) and not math.isfinite(v) else v
            for name, v in row.items()
        }
        line = json.dumps(finite).encode() + b"\n"
        with name_file_in_errors(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = FileIO(self.path, "a")
            while line:
                # A disk that is almost full takes a part, and none of the rest.
                line = line[self._file.write(line) :]

    def close(self) -> None:
        """Close the file. The next line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the metrics of all epochs. A line that was cut off is ignored.

    Raises:
        SettingsError: If the file is damaged.
    """
    return [row for _, row in _complete_lines(path, path.read_bytes())]


def _complete_lines(path: Path, content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """Return each line that ends with a line break, and its values."""
    lines = []
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            row = json.loads(line)
            int(row["epoch"])
        except (ValueError, TypeError, KeyError) as error:
            msg = (
                f"{path}, line {number}: expected a JSON object with an epoch. "
                "Delete the line."
            )
            raise SettingsError(msg) from error
        lines.append((line, row))
    return lines
