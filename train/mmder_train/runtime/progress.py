"""Progress of a run: a bar on a terminal, lines elsewhere, a log file, TensorBoard."""

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from rich.console import Console
from rich.progress import Progress as Bar

from mmder_cli.console_progress import LogTimer, create_bar
from mmder_store.atomic_files import name_file_in_errors
from mmder_store.errors import SettingsError

REDRAW_S = 0.1
"""Minimum number of seconds between two updates of the bar."""


@dataclass(kw_only=True, slots=True)
class Progress(AbstractContextManager["Progress"]):
    """Display of a run's progress. It does not change the results."""

    console: Console
    log_file: Path | None = None
    """File to which each line is appended with its time."""
    tensorboard_dir: Path | None = None
    """Folder for the event files of TensorBoard."""
    _bar: Bar | None = None
    _task: Any = None
    _file: TextIO | None = None
    _writer: Any = None
    _title: str = ""
    _clips: int = 0
    _waited_s: float = 0.0
    _undrawn: int = 0
    _drawn_s: float = -math.inf
    _timer: LogTimer = field(default_factory=LogTimer)

    def __enter__(self) -> "Progress":
        """Open the log file and TensorBoard's writer, and start the bar.

        Raises:
            SettingsError: If TensorBoard is requested and not installed.
        """
        if self.tensorboard_dir is not None:
            self._writer = _tensorboard_writer(self.tensorboard_dir)
        if self.log_file is not None:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.log_file.open("a", encoding="utf-8")
        self._bar = create_bar(self.console)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the bar, and close the log file and TensorBoard's writer."""
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            # After a failed write, closing tries to write the same text again.
            with suppress(OSError):
                self._file.close()
        if self._writer is not None:
            self._writer.close()

    def log(self, line: str) -> None:
        """Print a line, and append it to the log file."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._append(line)

    def begin(self, title: str, *, clips: int, done: int = 0) -> None:
        """Begin a task.

        Args:
            title: Name of the task.
            clips: Number of clips of the task.
            done: Number of clips that are already done.
        """
        self._title = title
        self._timer.start()
        self._clips, self._waited_s = 0, 0.0
        self._undrawn, self._drawn_s = 0, -math.inf
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(title, total=clips, info="", completed=done)

    def step(self, *, clips: int, waited_s: float, loss: float | None = None) -> None:
        """Count a step, and the seconds of it that were spent waiting for data.

        The bar is updated at most ten times per second.
        """
        self._clips += clips
        self._waited_s += waited_s
        self._undrawn += clips
        now = time.monotonic()
        if self._bar is not None and now - self._drawn_s >= REDRAW_S:
            info = self._pace() + ("" if loss is None else f", loss {loss:.3f}")
            self._bar.update(self._task, advance=self._undrawn, info=info)
            self._undrawn, self._drawn_s = 0, now

    def epoch(self, row: Mapping[str, float], *, lr: float) -> None:
        """Report an epoch.

        The log file and TensorBoard receive every epoch. The console receives at most
        one line per `console_progress.LOG_INTERVAL_S`.

        Args:
            row: Number of the epoch, its loss and its scores.
            lr: Learning rate at its end.
        """
        number = int(row["epoch"])
        scalars = {k: v for k, v in row.items() if k != "epoch"}
        line = f"{self._title}: epoch {number}, {_joined(scalars)}, {self._pace()}"
        if self._writer is not None:
            seconds = self._timer.elapsed_s()
            scalars |= {
                "learning_rate": lr,
                "clips_per_second": self._clips / seconds,
                "waiting_fraction": self._waited_s / seconds,
            }
            if torch.cuda.is_available():
                scalars["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
            for name, value in scalars.items():
                self._writer.add_scalar(f"{self._title}/{name}", value, number)
        if self._timer.is_due():
            self.log(line)
        else:
            self._append(line)

    def _pace(self) -> str:
        seconds = max(self._timer.elapsed_s(), 1e-9)
        pace = (
            f"{self._clips / seconds:.1f} clips/s, "
            f"{self._waited_s / seconds:.0%} waiting for data"
        )
        if torch.cuda.is_available():
            pace += f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        return pace

    def _append(self, line: str) -> None:
        if self._file is not None:
            stamp = datetime.now().astimezone().isoformat(timespec="seconds")
            with name_file_in_errors(Path(self._file.name)):
                self._file.write(f"{stamp} {line}\n")
                self._file.flush()


def silent() -> Progress:
    """Return a progress that prints and writes nothing."""
    return Progress(console=Console(quiet=True))


def _joined(scalars: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scalars.items())


def _tensorboard_writer(folder: Path) -> Any:  # noqa: ANN401
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        msg = (
            "--tensorboard: tensorboard is not installed. Install mmder[board], or "
            "leave the option out."
        )
        raise SettingsError(msg) from error
    return SummaryWriter(str(folder))
