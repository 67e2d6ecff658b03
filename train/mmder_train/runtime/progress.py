"""How far a run is: a bar on a terminal, lines elsewhere, a log file, TensorBoard."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from mmder_store.errors import SettingsError

LOG_INTERVAL_S = 10.0
"""Seconds between two lines about the same thing."""


@dataclass(kw_only=True, slots=True)
class Progress(AbstractContextManager["Progress"]):
    """Takes what happens and shows it; no number of a run depends on it."""

    console: Console
    log_file: Path | None = None
    """Grows by a line for each that is said, with its time."""
    board: Path | None = None
    """Folder of TensorBoard's events."""
    _bar: Bar | None = None
    _task: Any = None
    _file: TextIO | None = None
    _writer: Any = None
    _what: str = ""
    _total: int = 0
    _steps: int = 0
    _clips: int = 0
    _waited_s: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _spoken: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "Progress":
        """Open what is written to.

        Raises:
            SettingsError: If TensorBoard is asked for and not installed.
        """
        if self.board is not None:
            self._writer = _writer(self.board)
        if self.log_file is not None:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.log_file.open("a", encoding="utf-8")
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands, and close what is written to."""
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            self._file.close()
        if self._writer is not None:
            self._writer.close()

    def log(self, line: str) -> None:
        """Show a line, and keep it."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._keep(line)

    def begin(self, what: str, *, clips: int, done: int = 0) -> None:
        """Begin with something, of so many clips, of which some are done."""
        self._what, self._total = what, clips
        self._began = self._spoken = time.monotonic()
        self._clips, self._waited_s, self._steps = 0, 0.0, 0
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=clips, now="", completed=done)

    def step(self, *, clips: int, waited_s: float, loss: float | None = None) -> None:
        """Count a step, and what of it was spent on waiting for data."""
        self._steps += 1
        self._clips += clips
        self._waited_s += waited_s
        if self._bar is not None:
            now = self._pace() + ("" if loss is None else f", loss {loss:.3f}")
            self._bar.update(self._task, advance=clips, now=now)

    def epoch(self, row: Mapping[str, float], *, rate: float) -> None:
        """Tell of an epoch: a line now and then, scalars always."""
        number = int(row["epoch"])
        told = {k: v for k, v in row.items() if k != "epoch"}
        line = f"{self._what}: epoch {number}, {_joined_names(told)}, {self._pace()}"
        if self._writer is not None:
            seconds = time.monotonic() - self._began
            told |= {
                "rate": rate,
                "clips_per_second": self._clips / seconds,
                "share_waiting": self._waited_s / seconds,
            }
            if torch.cuda.is_available():
                told["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
            for name, value in told.items():
                self._writer.add_scalar(f"{self._what}/{name}", value, number)
        now = time.monotonic()
        if now - self._spoken > LOG_INTERVAL_S:
            self._spoken = now
            self.log(line)
        else:
            self._keep(line)

    def _pace(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        found = (
            f"{self._clips / seconds:.1f} clips/s, "
            f"{self._waited_s / seconds:.0%} waiting for data"
        )
        if torch.cuda.is_available():
            found += f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        return found

    def _keep(self, line: str) -> None:
        if self._file is not None:
            stamp = datetime.now().astimezone().isoformat(timespec="seconds")
            self._file.write(f"{stamp} {line}\n")
            self._file.flush()


def silent() -> Progress:
    """Give one that shows and keeps nothing."""
    return Progress(console=Console(quiet=True))


def _joined_names(told: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in told.items())


def _writer(folder: Path) -> Any:  # noqa: ANN401
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        msg = (
            "--tensorboard: tensorboard is not installed. Install mmder[board], or "
            "leave the option out."
        )
        raise SettingsError(msg) from error
    return SummaryWriter(str(folder))
