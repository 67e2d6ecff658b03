"""The programs as a user runs them: in a process of their own."""

import subprocess
import sys


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `mmder_prep` or `mmder_train`, and expect it to succeed."""
    command = f"from {program}.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done
