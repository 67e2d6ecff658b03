"""Lock of a run folder: one process writes to it at a time.

The lock ends with the process, also if it is killed. The lock file names the process
and its machine, because such locks do not reach other machines on every file system. A
process renews the time stamp of its lock file, and a lock file of another machine that
was not renewed for `STALE_S` is taken over.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from mmder_store.atomic_files import name_file_in_errors
from mmder_store.errors import SettingsError

LOCK_FILE = ".lock"
"""Name of the lock file in a run folder."""
RENEW_S = 10.0
"""Time between two renewals of a lock file."""
STALE_S = 60.0
"""Age after which a lock file of another machine is taken over."""
_held: set[Path] = set()
"""Lock files that this process holds: the system's lock does not apply within it."""


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock a run folder for this process.

    Raises:
        SettingsError: If another process holds the lock.
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / LOCK_FILE).resolve()
    if path in _held:
        raise _locked_error(folder, path, "this process")
    with _open_locked(folder, path) as file:
        _check_other_machine(folder, path, file)
        stop = threading.Event()
        renewal = threading.Thread(target=_renew, args=(path, stop), daemon=True)
        _held.add(path)
        try:
            with name_file_in_errors(path):
                file.seek(0)
                file.truncate()
                json.dump({"host": socket.gethostname(), "process": os.getpid()}, file)
                file.flush()
            renewal.start()
            yield
        finally:
            stop.set()
            _held.discard(path)
            path.unlink(missing_ok=True)


def _open_locked(folder: Path, path: Path) -> TextIO:
    """Open the lock file and lock it.

    Raises:
        SettingsError: If another process holds the lock.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        if not _try_lock(file):
            holder = _holder(file)
            file.close()
            name = f"process {holder.get('process', '?')}"
            host = holder.get("host", socket.gethostname())
            if host != socket.gethostname():
                name += f" on {host}"
            raise _locked_error(folder, path, name)
        # The former holder may have deleted the file after it was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def _try_lock(file: TextIO) -> bool:
    """Lock a file, and return False if another process has locked it.

    Unlike `flock`, this lock is not inherited by worker processes, which may outlive
    the process by seconds.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _check_other_machine(folder: Path, path: Path, file: TextIO) -> None:
    """Check that no process of another machine holds the lock.

    Raises:
        SettingsError: If its lock file was renewed recently.
    """
    holder = _holder(file)
    host = holder.get("host", "")
    if not host or host == socket.gethostname():
        return
    renewed_s = path.stat().st_mtime
    # Written here to compare with the clock of the file server.
    probe = path.with_name(f".{os.getpid()}.clock")
    try:
        probe.touch()
        age_s = probe.stat().st_mtime - renewed_s
    finally:
        probe.unlink(missing_ok=True)
    if age_s < STALE_S:
        name = f"process {holder.get('process', '?')} on {host}"
        file.close()
        raise _locked_error(
            folder, path, name, f"If it was killed, wait {STALE_S:.0f} s."
        )


def _holder(file: TextIO) -> dict[str, Any]:
    """Return the holder of a lock file; empty if it names none."""
    file.seek(0)
    try:
        content = json.load(file)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _locked_error(
    folder: Path, path: Path, holder: str, advice: str = ""
) -> SettingsError:
    msg = (
        f"run folder {folder}: another mmder-train writes to it ({holder}, {path}). "
        f"Wait for it, or choose another --out. {advice}"
    )
    return SettingsError(msg.rstrip())


def _renew(path: Path, stop: threading.Event) -> None:
    """Renew the time stamp of a lock file until the lock ends."""
    while not stop.wait(RENEW_S):
        with suppress(OSError):
            path.touch()
