"""A Dask scheduler and workers in processes of their own, as on a cluster."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmder_prep
import mmder_store

SCHEDULER = """
import asyncio, sys
from distributed import Scheduler
async def serve():
    async with Scheduler(
        host="127.0.0.1", dashboard_address="127.0.0.1:0", scheduler_file=sys.argv[1]
    ) as scheduler:
        await scheduler.finished()
asyncio.run(serve())
"""
WORKER = """
import asyncio, sys
from distributed import Worker
async def serve():
    async with Worker(sys.argv[1], nthreads=1, host="127.0.0.1") as worker:
        await worker.finished()
asyncio.run(serve())
"""


@contextmanager
def process(
    code: str, *arguments: str, path: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python code in a process, and kill it at the end.

    Args:
        code: The code.
        arguments: Arguments of the code.
        path: Folder from which mmder is imported; None for that of the tests.
    """
    folders = [str(path)] if path else []
    folders += [
        str(Path(module.__path__[0]).parent) for module in (mmder_prep, mmder_store)
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_until_written(file: Path) -> None:
    deadline_s = time.monotonic() + 120
    while not file.exists() or not file.read_text().strip():
        assert time.monotonic() < deadline_s, f"no {file} after two minutes"
        time.sleep(0.05)


def copy_with_other_sources(folder: Path) -> Path:
    """Copy mmder_prep with a changed source file; return the folder to import from."""
    copy = folder / "mmder_prep"
    shutil.copytree(mmder_prep.__path__[0], copy)
    file = copy / "timeline.py"
    file.write_text(file.read_text() + "\n# another version\n")
    return folder


def package_without_mmder(folder: Path) -> Path:
    """Write a package that hides mmder_prep; return the folder to import from."""
    (folder / "mmder_prep").mkdir(parents=True)
    (folder / "mmder_prep" / "__init__.py").write_text("raise ImportError('hidden')")
    return folder
