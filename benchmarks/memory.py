"""Peak memory of `mmder-train` on a store, and on a store many times as large.

Each run is a process of its own on one core. The peak is the largest resident set that
the system reports. It includes the clips that `--method finetune` holds in memory on
purpose, up to a gigabyte.
"""

import sys
import tempfile
from pathlib import Path

from data import DATA, QUICK_ACTORS, prepare_store, repeat_store
from mmder_store import Store
from record import Figure, main
from resource_usage import run_measured

TIMES, QUICK_TIMES = 10, 4
ALLOWED_MIB = 128.0
"""Allowed difference of the two peaks.

The same command run twice differs by 75 MiB. A store held in memory would add 264 MiB
in a quick run and 792 MiB in a full one.
"""


def measure(quick: bool) -> list[Figure]:
    """Run the trainer on the small store and on the large one."""
    small, times = prepare_store(QUICK_ACTORS), QUICK_TIMES if quick else TIMES
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        large = repeat_store(small, Path(folder) / "large", times * len(Store(small)))
        mib = sum(Store(large).size_bytes().values()) / 2**20
        figures = []
        methods = ("linear-probe",) if quick else ("linear-probe", "finetune")
        for method in methods:
            small_mib, large_mib = (
                peak_mib(path, Path(folder) / f"{method}-{path.name}", method)
                for path in (small, large)
            )
            name = f"--method {method}"
            goal_mib = ALLOWED_MIB if method == "linear-probe" else 1024 + ALLOWED_MIB
            figures += [
                Figure(
                    name=f"{name}: peak", value=small_mib, unit="MiB", better="less"
                ),
                Figure(
                    name=f"{name}: more for {mib:.0f} MiB of store in place of "
                    f"{mib / times:.0f}",
                    value=large_mib - small_mib,
                    unit="MiB more",
                    better="less",
                    goal=goal_mib,
                ),
            ]
    return figures


def peak_mib(path: Path, out: Path, method: str) -> float:
    """Train one fold for one epoch and return the largest resident set in MiB."""
    arguments = [
        *("--store", path, "--out", out, "--method", method, "--encoder", "tiny-56"),
        *("--fold", 1, "--epochs", 1, "--batch-size", 8, "--workers", 0),
        *("--protocol", "speakers-5"),
    ]
    if method == "linear-probe":
        # Features cached by another run would not be computed again.
        arguments += ["--feature-cache", out.with_name(f"{out.name}-features")]
    program = Path(sys.executable).with_name("mmder-train")
    return run_measured([program, *arguments]).peak_mib


if __name__ == "__main__":
    main(measure)
