"""Progress in a log file: a line per interval, and one at the end."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from mmder_cli import console_progress
from mmder_prep.pipeline.progress import ClipProgress


def test_a_log_has_a_line_per_interval_and_one_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six clips, one every 4 s: lines after 12 s (3 clips) and at the end.

    The seventh tick repeats a clip, whose shard was started again.
    """
    clock = SimpleNamespace(now_s=0.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(console_progress, "time", clock)
    file = io.StringIO()
    with ClipProgress(6, Console(file=file, width=80)) as progress:
        for number in range(1, 7):
            clock.now_s = 4.0 * number
            progress.tick("ok")
        assert file.getvalue().splitlines() == [
            "3/6 clips, 0.2 clips/s, 0:12 left",
            "6/6 clips, 0.2 clips/s, 0:00 left",
        ]
        progress.tick("failed")
    assert progress.statuses == {"ok": 6, "failed": 1}
    assert file.getvalue().splitlines()[-1].startswith("6/6 clips")
