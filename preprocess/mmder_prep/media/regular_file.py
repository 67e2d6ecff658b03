"""Open regular files only: a device or a named pipe has no end.

`/dev/zero` can be read without end, and opening a named pipe waits for a writer.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mmder_store.errors import MediaError

UNREADABLE = "cannot be read"
"""Start of the messages about a file that cannot be read."""
KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""Types of files that are not read, and their names in messages."""
READ_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)
"""Flags to open a file with; some systems lack some of them. Without O_NONBLOCK, a
named pipe that replaces the file after the check would block."""


def stat_regular(path: Path) -> os.stat_result:
    """Return the status of a regular file, links followed.

    Raises:
        OSError: If it does not exist or cannot be accessed.
        MediaError: If it is another type of file.
    """
    return _check_regular(path.stat())


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a device is not even opened.

    Raises:
        OSError: If it does not exist or cannot be opened.
        MediaError: If it is another type of file.
    """
    stat_regular(path)
    descriptor = os.open(path, READ_FLAGS)
    try:
        _check_regular(os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def exists(path: Path) -> bool:
    """Return whether a path exists; False if it cannot be accessed.

    `Path.exists` raises an error for a name that is too long.
    """
    return _mode(path) is not None


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file; False if it cannot be accessed."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: Path) -> int | None:
    """Return the type and permissions of a file, None if it cannot be accessed."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


def unreadable(path: Path, error: Exception) -> MediaError:
    """Return the error for a file that cannot be read, with the reason.

    Args:
        path: Path of the file.
        error: The error of the system or of the archive.
    """
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and "\\" in path.name:
        reason += "; its path has a backslash, write '/' between folders"
    return MediaError(f"{UNREADABLE} ({reason})")


def _check_regular(status: os.stat_result) -> os.stat_result:
    """Return the status if it is that of a regular file."""
    if stat.S_ISREG(status.st_mode):
        return status
    kind = next((name for is_kind, name in KINDS if is_kind(status.st_mode)), "special")
    msg = f"{UNREADABLE} ({kind}, expected a regular file)"
    raise MediaError(msg)
