"""Run the programs: in a process of their own as a user does, or in this process.

A process takes up to ten seconds to import PyTorch. Tests that are not about the
process itself therefore run in this one.
"""

import os
import subprocess
import sys
from importlib import import_module
from unittest.mock import patch

from click.testing import CliRunner, Result


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `mmder_prep` or `mmder_train`, and check that it succeeds."""
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


def invoke(program: str, *arguments: object) -> Result:
    """Run `mmder_prep` or `mmder_train` in this process; its exit code may be any.

    Environment variables that it sets for its workers are removed afterwards.
    """
    module = import_module(f"{program}.cli.main")
    if program == "mmder_prep":
        module.add_corpora()
    with patch.dict(os.environ):
        return CliRunner().invoke(module.cli, list(map(str, arguments)))


def run_here(program: str, *arguments: object) -> Result:
    """Run `mmder_prep` or `mmder_train` in this process; check that it succeeds."""
    result = invoke(program, *arguments)
    assert result.exit_code == 0, result.output
    return result
