"""Peak memory of `mmder-train` on a store, and on one of the same clips many times.

A program of its own each time, on one core: the largest resident set that the system
saw. What is held of clips on purpose, up to a gigabyte for `--method finetune`, is in it.
"""

import sys
import tempfile
from pathlib import Path

from data import DATA, QUICK_ACTORS, repeated, store
from mmder_store import Store
from record import Figure, main
from spent import spent

TIMES, QUICK_TIMES = 10, 4
ALLOWED_MIB = 128.0
"""By which peaks may differ: the same command twice does by 75, or two batches of
clips. A store that were held would be 264 more, in full 792."""


def measure(quick: bool) -> list[Figure]:
    """Run the trainer on the small store and on the large one."""
    small, times = store(QUICK_ACTORS), QUICK_TIMES if quick else TIMES
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        large = repeated(small, Path(folder) / "large", times)
        mib = sum(Store(large).size_bytes().values()) / 2**20
        figures = []
        tunes = ("linear-probe",) if quick else ("linear-probe", "finetune")
        for tune in tunes:
            less, more = (
                peak_mib(path, Path(folder) / f"{tune}-{path.name}", tune)
                for path in (small, large)
            )
            name = f"--method {tune}"
            growth = more - less
            figures += [
                Figure(name=f"{name}: peak", value=less, unit="MiB", better="less"),
                Figure(
                    name=f"{name}: more for {mib:.0f} MiB of store in place of "
                    f"{mib / times:.0f}",
                    value=growth,
                    unit="MiB more",
                    better="less",
                    goal=ALLOWED_MIB if tune == "linear-probe" else 1024 + ALLOWED_MIB,
                ),
            ]
    return figures


def peak_mib(path: Path, out: Path, tune: str) -> float:
    """Train one fold for one epoch, and give the largest resident set."""
    arguments = [
        *("--store", path, "--out", out, "--method", tune, "--encoder", "tiny-56"),
        *("--fold", 1, "--epochs", 1, "--batch-size", 8, "--workers", 0),
        *("--protocol", "speakers-5"),
    ]
    if (
        tune == "linear-probe"
    ):  # what is kept from another run would not be encoded again
        arguments += ["--feature-cache", out.with_name(f"{out.name}-features")]
    program = Path(sys.executable).with_name("mmder-train")
    return spent([program, *arguments]).peak_mib


if __name__ == "__main__":
    main(measure)
