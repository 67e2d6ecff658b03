"""Import boundaries: `--help` and the store load no heavy libraries."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "zarr", "distributed", "librosa", "av", "cv2", "timm", "matplotlib")


@pytest.mark.parametrize("program", ["mmder_prep", "mmder_train"])
def test_help_loads_nothing_heavy(program: str) -> None:
    """`--help` prints the usage without importing any of the heavy libraries."""
    code = (
        f"import sys; from {program}.cli import main\n"
        "sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "except SystemExit as exit: assert exit.code in (0, None), exit.code\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout


def test_the_store_loads_without_either_program() -> None:
    """`mmder_store` imports numpy and zarr, but not torch, dask or click."""
    code = (
        "import sys, mmder_store.store\n"
        "loaded = [m for m in ('torch', 'dask', 'av', 'cv2', 'click', 'mmder_prep', "
        "'mmder_train') if m in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
