"""A program whose resource tracker was killed ends without a traceback."""

import subprocess
import sys

import pytest

PROGRAM = """
import multiprocessing, os, signal, sys
from multiprocessing import resource_tracker
from mmder_prep.pipeline import lost_tracker
if sys.argv[1] == "tolerant":
    lost_tracker.tolerate()
    lost_tracker.tolerate()
context = multiprocessing.get_context("spawn")
before = context.Semaphore()
tracker = resource_tracker._resource_tracker._pid
os.kill(tracker, signal.SIGKILL)
os.waitpid(tracker, 0)
after = context.Semaphore()
del before, after
resource_tracker._resource_tracker._stop()
print("ended")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the tracker of Linux")
@pytest.mark.parametrize("kind", ["plain", "tolerant"])
def test_a_lost_tracker_prints_nothing(kind: str) -> None:
    """Plain Python prints a KeyError, or this test would show nothing."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "ended\n"
    if kind == "tolerant":
        assert done.stderr == ""
    else:
        assert "KeyError" in done.stderr
