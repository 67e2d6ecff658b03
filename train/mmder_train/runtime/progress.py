"""Progress of a run: a bar or lines, a log file, metrics of epochs, TensorBoard."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from rich.console import Console
from rich.progress import Progress as Bar

from mmder_cli.console_progress import LogTimer, count_text, create_bar
from mmder_store.atomic_files import name_file_in_errors
from mmder_store.errors import SettingsError
from mmder_train.runtime.metrics_file import MetricsFile, Tags

STEP_INTERVAL_S = 30.0
"""Minimum time since the last line before a line about the steps of a task."""
BAR_INTERVAL_S = 0.1
"""Minimum time between two updates of the bar."""
NO_TAGS: Tags = {}
RUN_METRICS = (
    *("learning_rate", "seconds", "clips_per_second", "waiting_fraction", "gpu_gib"),
)
"""Metrics of an epoch that describe the run, not the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """Instant at which an epoch began, with the counts of the task until then."""

    time_s: float
    clips: int
    waited_s: float


@dataclass(kw_only=True, slots=True)
class Progress(AbstractContextManager["Progress"]):
    """Display of a run's progress. It does not change the results."""

    console: Console
    log_file: Path | None = None
    """File to which each line is appended with its time."""
    tensorboard_dir: Path | None = None
    """Folder for the event files of TensorBoard."""
    metrics: MetricsFile | None = None
    """File that receives a line per epoch."""
    _bar: Bar | None = None
    _task: Any = None
    _file: TextIO | None = None
    _writer: Any = None
    _title: str = ""
    _clips: int = 0
    _waited_s: float = 0.0
    _total: int = 0
    _done: int = 0
    _shown_s: float = 0.0
    _timer: LogTimer = field(default_factory=LogTimer)
    _epoch_began: dict[tuple[str | int, ...], _Mark] = field(default_factory=dict)

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
        """Stop the bar, and close all files."""
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            # After a failed write, closing tries to write the same text again.
            with suppress(OSError):
                self._file.close()
        if self._writer is not None:
            self._writer.close()
        if self.metrics is not None:
            self.metrics.close()

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
        self._total, self._done = clips, done
        self._epoch_began = {}
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(title, total=clips, info="", completed=done)

    def step(self, *, clips: int, waited_s: float, loss: float | None = None) -> None:
        """Count a step, and the seconds of it that were spent waiting for data.

        Without a terminal, a line is printed every `STEP_INTERVAL_S` seconds.
        """
        self._clips += clips
        self._waited_s += waited_s
        if not self.console.is_terminal:
            if self._timer.is_due(interval_s=STEP_INTERVAL_S):
                rate = self._clips / self._timer.elapsed_s()
                text = count_text(
                    self._done + self._clips, self._total, clips_per_s=rate
                )
                self.log(f"{self._title}: {text}")
        elif self._bar is not None:
            now_s = time.monotonic()
            if now_s - self._shown_s >= BAR_INTERVAL_S:
                self._shown_s = now_s
                info = self._pace() + ("" if loss is None else f", loss {loss:.3f}")
                self._bar.update(
                    self._task, completed=self._done + self._clips, info=info
                )

    def start_epochs(self, tags: Sequence[Tags] = (NO_TAGS,), *, done: int = 0) -> None:
        """Start the first epoch of some trainings.

        Their metrics of epochs after `done` are removed, because those are trained
        again.

        Args:
            tags: Tags of the trainings.
            done: Number of epochs that are already done.
        """
        if self.metrics is not None:
            self.metrics.remove_after(tags, epoch=done)
        for one in tags:
            self._epoch_began[tuple(one.values())] = self._mark()

    def epoch(
        self,
        row: Mapping[str, float],
        *,
        lr: float,
        title: str = "",
        tags: Tags = NO_TAGS,
    ) -> None:
        """Report an epoch.

        The log file, the metrics and TensorBoard receive every epoch. The console
        receives at most one line per `console_progress.LOG_INTERVAL_S`.

        Args:
            row: Number of the epoch, its loss and its scores.
            lr: Learning rate at its end.
            title: Name of the fold. Empty for the name of the task.
            tags: Tags of the training, as for `start_epochs`.
        """
        title = title or self._title
        number = int(row["epoch"])
        scalars = {k: v for k, v in row.items() if k != "epoch"}
        line = f"{title}: epoch {number}, {_joined(scalars)}, {self._pace()}"
        scalars |= {"learning_rate": lr, **self._epoch_pace(tags)}
        if self.metrics is not None:
            self.metrics.append({**tags, "epoch": number, **scalars})
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(f"{title}/{name}", value, number)
        if self._timer.is_due():
            self.log(line)
        else:
            self._append(line)

    def _mark(self) -> _Mark:
        return _Mark(
            time_s=time.monotonic(), clips=self._clips, waited_s=self._waited_s
        )

    def _epoch_pace(self, tags: Tags) -> dict[str, float]:
        """Return the duration and speed of an epoch that ends now, and start another.

        The clips are those of all trainings of the task, which take steps together.
        """
        key, now = tuple(tags.values()), self._mark()
        began = self._epoch_began.get(key, now)
        self._epoch_began[key] = now
        seconds = max(now.time_s - began.time_s, 1e-9)
        pace = {
            "seconds": seconds,
            "clips_per_second": (now.clips - began.clips) / seconds,
            "waiting_fraction": (now.waited_s - began.waited_s) / seconds,
        }
        if torch.cuda.is_available():
            pace["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
        return pace

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
