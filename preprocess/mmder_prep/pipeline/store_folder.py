"""Folder of a store: disk space, removal, and what a killed removal has left."""

import glob
import math
import os
import shutil
from pathlib import Path

import numpy as np

from mmder_store import ledger
from mmder_store.errors import StoreError
from mmder_store.schema import arrays_of, shape_of
from mmder_store.store_spec import StoreSpec
from mmder_store.zarr_group import is_store

MIN_SIZE_FRACTION = 0.4
"""Fraction of its uncompressed size that a store has at least, as measured."""
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
"""Units of sizes in messages."""


def check_disk_space(out: Path, spec: StoreSpec) -> None:
    """Check that the disk has space for the shards that are not written yet.

    Raises:
        StoreError: If it has not, with the free and the required space.
    """
    clip_bytes = sum(
        np.dtype(a.dtype).itemsize * math.prod(shape_of(a, spec.settings))
        for a in arrays_of(spec.settings)
    )
    written = sum(ledger.exists(out, shard) for shard in range(spec.shards))
    clips = max(0, spec.clips - written * spec.shard_clips)
    required = int(clips * clip_bytes * MIN_SIZE_FRACTION)
    folder = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if free < required:
        msg = (
            f"store {out}: {format_size(free)} of disk space are free, {clips} clips "
            f"need at least {format_size(required)}; free some, or choose another --out"
        )
        raise StoreError(msg)


def format_size(count: int) -> str:
    """Return a number of bytes as text, in the largest unit of which there is one."""
    for unit, size in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def remove_leftovers(out: Path) -> None:
    """Remove what a killed `remove_store` has left."""
    for folder in out.parent.glob(f".{glob.escape(out.name)}.removed-*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_store(out: Path) -> None:
    """Remove a store; a folder that does not exist or is empty is left as it is.

    Raises:
        StoreError: If the folder holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    if not is_store(out):
        msg = (
            f"--overwrite: {out} is not a store of mmder-prep and is not removed; "
            "choose another --out"
        )
        raise StoreError(msg)
    removed = out.with_name(f".{out.name}.removed-{os.getpid()}")
    with ledger.write_lock(out):
        # Renamed first: an interrupted removal leaves no partial store at `out`.
        out.rename(removed)
    shutil.rmtree(removed)
