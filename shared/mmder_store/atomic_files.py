"""Files that are whole or not there: written beside their name, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFTS = ".[0-9]*.*"
ZARR_DRAFTS = f"*.{32 * '[0-9a-f]'}.partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes `path` if all goes well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path, drafts: str = DRAFTS) -> None:
    """Remove drafts that killed processes left; only where nobody else writes."""
    for file in folder.glob(drafts):
        file.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write JSON, on disk before it has its name: a name is a promise."""
    with atomic_write(path) as draft, draft.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
