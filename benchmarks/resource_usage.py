"""Time and memory of a program, including all processes that it starts. Linux only."""

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
class ResourceUsage:
    """Time and memory of one run of a program."""

    wall_s: float
    cpu_s: float
    """CPU time of all processes together."""
    peak_mib: float
    """Largest resident set of any single process."""


def run_measured(command: Sequence[object]) -> ResourceUsage:
    """Run a program, wait for all processes it leaves behind, and return its usage.

    The process from which workers are forked outlives the program by a moment and
    holds the CPU times of the workers. This process adopts it as a child (Linux'
    subreaper), so that its usage can be read.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    words = [str(word) for word in command]
    earlier_children = _child_pids()
    start = time.perf_counter()
    program = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(program.pid, 0)
    wall_s = time.perf_counter() - start
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        sys.exit(f"{' '.join(words)} ended with exit code {program.returncode}")
    usages = [usage]
    while orphans := _child_pids() - earlier_children:
        usages += [os.wait4(pid, 0)[2] for pid in orphans]
    return ResourceUsage(
        wall_s=wall_s,
        cpu_s=sum(one.ru_utime + one.ru_stime for one in usages),
        peak_mib=max(one.ru_maxrss for one in usages) / 1024,  # kilobytes on Linux
    )


def _child_pids() -> set[int]:
    return {child.pid for child in psutil.Process().children()}
