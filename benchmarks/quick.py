"""Run the quick benchmarks, each in its own process: `make bench`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import Figure, recorded, save, show

QUICK = (
    "reading",
    "store_codecs",
    "training_step",
    "memory",
    "prep_against_decode",
    "prep_scaling",
)
"""Scripts of this folder that have a quick run, in order."""


def main() -> None:
    """Run the scripts and print one table per script against the recorded figures."""
    start, runs = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name in QUICK:
            script, out = Path(__file__).with_name(f"{name}.py"), Path(folder) / name
            command = [sys.executable, str(script), "--quick", "--figures", str(out)]
            subprocess.run(command, check=True)
            runs[f"{name} quick"] = [Figure(**f) for f in json.loads(out.read_text())]
    show(runs, recorded())
    print(f"{time.monotonic() - start:.0f} s")
    if "--record" in sys.argv[1:]:
        save(runs)


if __name__ == "__main__":
    main()
