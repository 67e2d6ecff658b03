"""Programs that are killed at a chosen instant, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil


def start(
    program: str, words: list[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `mmder_prep` or `mmder_train` in a process group of its own."""
    command = f"from {program}.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, *words],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def wait_for(
    running: subprocess.Popen[bytes], folder: Path, pattern: str, limit_s: float
) -> bool:
    """Wait for a file in a folder; return False if the program ends before."""
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        if any(folder.glob(pattern)):
            return True
        if running.poll() is not None:
            return False
        time.sleep(0.001)
    return False


def group(leader: int) -> list[psutil.Process]:
    """Return the living processes of a group."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and os.getpgid(process.pid) == leader:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def kill(running: subprocess.Popen[bytes], how: str) -> None:
    """Kill a program, or a part of it.

    Args:
        running: The program, the leader of its group.
        how: ``group``, ``parent``, ``worker`` (a random other process of the group),
            ``term`` (SIGTERM to the program) or ``interrupt`` (SIGINT to the group).
    """
    try:
        if how == "group":
            os.killpg(running.pid, signal.SIGKILL)
        elif how == "interrupt":
            os.killpg(running.pid, signal.SIGINT)
        elif how == "parent":
            running.kill()
        elif how == "term":
            running.terminate()
        else:
            others = [p for p in group(running.pid) if p.pid != running.pid]
            if others:
                others[-1].kill()
    except (ProcessLookupError, psutil.NoSuchProcess):
        return


def check_nothing_runs(leader: int, limit_s: float = 60) -> None:
    """Check that every process of a group ends."""
    deadline_s = time.monotonic() + limit_s
    while left := group(leader):
        assert time.monotonic() < deadline_s, [p.cmdline() for p in left]
        time.sleep(0.05)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
