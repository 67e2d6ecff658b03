"""Folder for the sockets and files of workers, removed also after a killed run.

Python removes such a folder when the program ends, but not if it is killed. Each
program therefore locks a file in its folder, and the next one removes the folders that
no process has locked.
"""

import atexit
import multiprocessing.process
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

PREFIX = "mmder-"
LOCK_FILE = "lock"
MIN_AGE_S = 10.0
"""Age below which a folder may not be locked yet."""
_mine: list[tuple[Path, TextIO]] = []


def create() -> None:
    """Create the folder of this program, and remove those of killed ones."""
    if _mine:
        return
    try:
        import fcntl
    except ImportError:  # Windows uses no sockets
        return
    parent = Path(tempfile.gettempdir())
    for old in parent.glob(f"{PREFIX}*/{LOCK_FILE}"):
        # Another user's folder cannot be opened, and a running program has locked it.
        with suppress(OSError), old.open("a") as file:
            if time.time() - old.stat().st_mtime > MIN_AGE_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = (folder / LOCK_FILE).open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    _mine.append((folder, lock))
    # Read by `multiprocessing.util.get_temp_dir`, here and in all worker processes.
    multiprocessing.process.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    atexit.register(remove)


def path() -> Path | None:
    """Return the folder of this program, or None if it has none."""
    return _mine[0][0] if _mine else None


def remove() -> None:
    """Remove the folder of this program."""
    while _mine:
        folder, lock = _mine.pop()
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()
