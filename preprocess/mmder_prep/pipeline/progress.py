"""Progress of a build: clips per second and remaining time."""

from collections import Counter
from types import TracebackType

from rich.console import Console

from mmder_cli.console_progress import LogTimer, count_text, create_bar


class ClipProgress:
    """Progress display of a number of clips."""

    def __init__(self, total: int, console: Console) -> None:
        """Create a display for `total` clips."""
        self.total, self.console = total, console
        self.statuses: Counter[str] = Counter()
        self._timer = LogTimer()
        self._bar = create_bar(console)
        self._task = self._bar.add_task("clips", total=total, info="")

    def __enter__(self) -> "ClipProgress":
        """Show the bar and start the clock. The workers are ready now."""
        self._timer.start()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the bar and leave it on the screen."""
        self._bar.stop()

    def warn(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, highlight=False, markup=False)

    def tick(self, status: str) -> None:
        """Count one clip with its status."""
        self.statuses[status] += 1
        # If a worker dies, its shard is started again and its clips count twice.
        done = min(self.statuses.total(), self.total)
        rate = done / max(self._timer.elapsed_s(), 1e-3)
        self._bar.update(self._task, advance=1, info=f"{rate:.1f} clips/s")
        if self.console.is_terminal:
            return
        if self._timer.is_due(force=done == self.total):
            self.console.print(
                count_text(done, self.total, clips_per_s=rate), highlight=False
            )
