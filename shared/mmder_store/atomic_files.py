"""Atomic file writes: a file is written under a draft name, then renamed.

A draft is synced to disk before it is renamed, and its folder afterwards, so that a
power cut leaves the old file or the new one.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

HEX = "[0-9a-f]"
DRAFTS = f".{16 * HEX}.*"
"""Pattern of the draft names of `atomic_write`."""
ZARR_DRAFTS = f"*.{32 * HEX}.partial"
"""Pattern of the draft names of Zarr."""


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Add a file name to errors that lack it, such as those of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a draft path to write to; it is renamed to `path` on success.

    Two processes that write the same file, also on two machines, have a draft each.

    Raises:
        OSError: If the file cannot be written. The error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex[:16]}.{path.name}")
    try:
        with name_file_in_errors(path):
            yield draft
            sync(draft)
            draft.replace(path)
            sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Write a file or folder to disk. Windows has no such operation for folders."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with name_file_in_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_with_folders(files: Iterable[Path], root: Path) -> None:
    """Write files to disk, and all their folders up to `root`.

    The files are synced first: on most file systems the folders then cost little.
    """
    folders = {root}
    for file in files:
        sync(file)
        folders.update(f for f in file.parents if f.is_relative_to(root))
    for folder in sorted(folders, reverse=True):
        sync(folder)


def remove_drafts(folder: Path, drafts: str = DRAFTS) -> None:
    """Remove the drafts of killed processes. No other process may write there."""
    for file in folder.glob(drafts):
        file.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    with atomic_write(path) as draft, draft.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
