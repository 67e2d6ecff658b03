"""Processor cores that this process may use."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Folder with the limits of this process's control group, as in a container."""


def usable_cores(cgroup: Path) -> int:
    """Return the number of cores of this process, within its affinity and cgroup."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup, or no limit ("max")
        return cores
