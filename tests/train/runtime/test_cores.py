"""Cores are those of the system, or the limit of a container."""

import os
from pathlib import Path

from mmder_train.runtime.cores import usable_cores


def test_cores_are_those_that_the_process_may_use(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
