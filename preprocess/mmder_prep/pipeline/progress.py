"""How far a run is: a bar on a terminal, a line now and then in a log file."""

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOG_EVERY_S = 10.0


class ClipProgress:
    """Counts clips as they become ready."""

    def __init__(self, total: int, console: Console) -> None:
        """Begin at none of `total`."""
        self.total, self.console = total, console
        self.statuses: Counter[str] = Counter()
        self._begun = self._logged = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("clips", total=total, rate="")

    def __enter__(self) -> "ClipProgress":
        """Show the bar; workers are ready by now, or were all along."""
        self._begun = self._logged = time.monotonic()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def tick(self, status: str) -> None:
        """Count one clip."""
        self.statuses[status] += 1
        now = time.monotonic()
        # A shard whose worker died is begun again, and its clips are counted again.
        done = min(self.statuses.total(), self.total)
        rate = done / max(now - self._begun, 1e-3)
        self._bar.update(self._task, advance=1, rate=f"{rate:.1f} clips/s")
        due = now - self._logged >= LOG_EVERY_S or done == self.total
        if not self.console.is_terminal and due:
            self._logged = now
            left = round((self.total - done) / rate)
            self.console.print(
                f"{done}/{self.total} clips, {rate:.1f} clips/s, "
                f"{left // 60}:{left % 60:02d} left",
                highlight=False,
            )
