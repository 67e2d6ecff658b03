"""A bar on a terminal, log lines elsewhere."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from mmder_cli import console_progress
from mmder_cli.console_progress import LogTimer, create_bar


def test_the_bar_is_hidden_in_a_log_file() -> None:
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=80)
        with create_bar(console) as bar:
            bar.add_task("clips", total=4, completed=1, info="2.0 clips/s")
        assert ("2.0 clips/s" in file.getvalue()) == terminal


def test_a_line_is_due_once_per_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 10 s after the last line, or when forced."""
    clock = SimpleNamespace(now_s=100.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(console_progress, "time", clock)
    timer = LogTimer()
    due = []
    for clock.now_s, force in (
        (109.0, False),
        (110.0, False),
        (119.0, False),
        (119.0, True),
        (128.0, False),
        (129.0, False),
    ):
        due.append(timer.is_due(force=force))
    assert due == [False, True, False, True, False, True]
    assert timer.elapsed_s() == 29.0
    timer.start()
    assert timer.elapsed_s() == 0.0


def test_a_line_has_the_remaining_time() -> None:
    text = console_progress.count_text(300, 1440, clips_per_s=12.0)
    assert text == "300/1440 clips, 12.0 clips/s, 1:35 left"
