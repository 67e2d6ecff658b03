"""Nobody waits for what is not used."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "zarr", "distributed", "librosa", "av", "cv2", "timm", "matplotlib")


@pytest.mark.parametrize("program", ["mmder_prep", "mmder_train"])
def test_help_loads_nothing_heavy(program: str) -> None:
    """--help prints the commands, and none of the heavy libraries was imported."""
    code = (
        f"import sys; from {program}.cli import main\n"
        "sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "except SystemExit as left: assert left.code in (0, None), left.code\n"
        f"found = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not found, found\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout


def test_the_store_loads_without_either_program() -> None:
    """mmder_store imports numpy and zarr, no torch, no dask, no click."""
    code = (
        "import sys, mmder_store.store\n"
        "found = [m for m in ('torch', 'dask', 'av', 'cv2', 'click', 'mmder_prep', "
        "'mmder_train') if m in sys.modules]\n"
        "assert not found, found\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
