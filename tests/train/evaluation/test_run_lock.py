"""One process writes to a run folder at a time, and a dead one does not block it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmder_store.errors import SettingsError
from mmder_train.evaluation import run_lock
from mmder_train.evaluation.run_directory import RunDirectory

HOLD = """
import sys, time
from pathlib import Path
from mmder_train.evaluation.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock, and wait until it does."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_process_is_refused_with_one_line(tmp_path: Path) -> None:
    """The line names the process. The lock of a killed process is taken over."""
    with hold(tmp_path / "run") as holder:
        with (
            pytest.raises(SettingsError, match=rf"process {holder.pid}, .*--out"),
            RunDirectory(path=tmp_path / "run").lock(),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert json.loads((tmp_path / "run" / ".lock").read_text())["process"] == holder.pid
    with RunDirectory(path=tmp_path / "run").lock():
        assert (tmp_path / "run" / ".lock").exists()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_process_refuses_itself_a_second_lock(tmp_path: Path) -> None:
    with (
        run_lock.run_lock(tmp_path),
        pytest.raises(SettingsError, match="this process"),
        run_lock.run_lock(tmp_path),
    ):
        pass
    with run_lock.run_lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_another_machine_is_told_apart(tmp_path: Path) -> None:
    """System locks may not reach it: its lock file counts as long as it is renewed."""
    file = tmp_path / ".lock"
    content = json.dumps({"host": "elsewhere", "process": os.getpid()})
    file.write_text(content)
    with (
        pytest.raises(SettingsError, match=r"process \d+ on elsewhere.*wait 60 s"),
        run_lock.run_lock(tmp_path),
    ):
        pass
    assert file.read_text() == content
    old_s = file.stat().st_mtime - run_lock.STALE_S - 1
    os.utime(file, (old_s, old_s))
    with run_lock.run_lock(tmp_path):
        assert json.loads(file.read_text())["process"] == os.getpid()


def test_a_lock_file_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "RENEW_S", 0.01)
    file = tmp_path / ".lock"
    with run_lock.run_lock(tmp_path):
        os.utime(file, (0, 0))
        for _ in range(500):
            if file.stat().st_mtime > 1:
                break
            time.sleep(0.01)
        assert file.stat().st_mtime > 1


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"'])
def test_an_empty_or_damaged_lock_file_is_taken_over(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / ".lock").write_text(content)
    with run_lock.run_lock(tmp_path):
        pass
