"""Progress display of both programs: a bar on a terminal, log lines elsewhere."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOG_INTERVAL_S = 10.0
"""Minimum time between two log lines about the same task."""


def create_bar(console: Console) -> Progress:
    """Return a progress bar; it is hidden if the console is not a terminal.

    A task of the bar needs the field `info`, a text shown after the count.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[info]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def count_text(done: int, total: int, *, clips_per_s: float) -> str:
    """Return a log line with the clips done, their rate and the remaining time."""
    left_s = round((total - done) / max(clips_per_s, 1e-9))
    return (
        f"{done}/{total} clips, {clips_per_s:.1f} clips/s, "
        f"{left_s // 60}:{left_s % 60:02d} left"
    )


class LogTimer:
    """Clock of a task that decides when its next log line is due."""

    def __init__(self) -> None:
        """Create a clock and start it."""
        self.start()

    def start(self) -> None:
        """Start the clock at zero."""
        self._started_s = self._logged_s = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the time since the start, in seconds."""
        return time.monotonic() - self._started_s

    def is_due(
        self, *, force: bool = False, interval_s: float = LOG_INTERVAL_S
    ) -> bool:
        """Return whether a line is due, and if so start the next interval.

        Args:
            force: True if a line is due in any case.
            interval_s: Minimum time since the last line, in seconds.
        """
        now_s = time.monotonic()
        if not force and now_s - self._logged_s < interval_s:
            return False
        self._logged_s = now_s
        return True
