"""What a program took, together with all processes that it started. Linux."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Time and memory of a run."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """Of the largest of its processes."""


def spent(command: Sequence[object]) -> Spent:
    """Run a program, and wait for what it leaves behind too.

    The process that workers are copies of outlives the program by a moment, and has
    their times: it becomes a child of this process, so that it can be asked.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    words = [str(word) for word in command]
    before = _children()
    start = time.perf_counter()
    running = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(running.pid, 0)
    wall_s = time.perf_counter() - start
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit(f"{' '.join(words)} ended with {running.returncode}")
    each = [used]
    while left := _children() - before:
        each += [os.wait4(process, 0)[2] for process in left]
    return Spent(
        wall_s=wall_s,
        cpu_s=sum(one.ru_utime + one.ru_stime for one in each),
        peak_mib=max(one.ru_maxrss for one in each) / 1024,  # kilobytes on Linux
    )


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}
