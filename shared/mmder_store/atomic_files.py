"""Atomic file writes: a file is written under a draft name, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFTS = ".[0-9]*.*"
"""Pattern of the draft names of `atomic_write`."""
ZARR_DRAFTS = f"*.{32 * '[0-9a-f]'}.partial"
"""Pattern of the draft names of Zarr."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a draft path to write to; it is renamed to `path` on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path, drafts: str = DRAFTS) -> None:
    """Remove the drafts of killed processes. No other process may write there."""
    for file in folder.glob(drafts):
        file.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, synced to disk before it gets its final name."""
    with atomic_write(path) as draft, draft.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
