"""Write a store: create it, write its shards, seal it.

A store is one Zarr v3 group. One clip is one inner chunk of the heavy arrays, and one
shard holds `shard_clips` clips. `write_shard` writes one whole shard of every array, so
two writers never write to the same file. Between `create` and `seal` the store cannot
be read. `seal` fails while a shard is missing.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from mmder_store import ledger
from mmder_store.atomic_files import ZARR_DRAFTS, remove_drafts
from mmder_store.errors import StoreError, StoreIncompleteError
from mmder_store.ledger import ClipRecord
from mmder_store.schema import COLUMNS, ArraySpec, arrays_of, shape_of
from mmder_store.settings import digest
from mmder_store.store_spec import StoreSpec
from mmder_store.zarr_group import (
    add_array,
    get_array,
    is_store,
    open_group,
    read_spec,
    write_column,
)


def create(path: Path, spec: StoreSpec) -> None:
    """Create a store, or open an existing one for writing and keep its shards.

    An existing seal is removed first, so that readers never open a store that is being
    changed.

    Raises:
        StoreError: If the folder holds something else, or a store with other settings.
    """
    if path.exists() and not _is_blank(path):
        _check_reusable(path, spec)
        _reopen(path, spec)
        return
    (path / ledger.FOLDER).mkdir(parents=True, exist_ok=True)
    ledger.delete_records_from(path, 0)
    remove_drafts(path, ZARR_DRAFTS)
    group = zarr.create_group(path, zarr_format=3)
    for array in arrays_of(spec.settings):
        add_array(group, array, spec)
    group.update_attributes({**spec.to_json(), "sealed": None})


def _reopen(path: Path, spec: StoreSpec) -> None:
    """Open an existing store for writing, and adapt it to the number of clips."""
    remove_drafts(path / ledger.FOLDER)
    for folder in (path, *(path / a.name for a in arrays_of(spec.settings))):
        remove_drafts(folder, ZARR_DRAFTS)
    group = open_group(path, "r+")
    old = read_spec(path, group)
    group.update_attributes({"sealed": None})
    for column in COLUMNS:
        if column.name in group:
            del group[column.name]
    for array in arrays_of(spec.settings):
        if array.name in group and old.clips != spec.clips:
            row = shape_of(array, spec.settings)
            get_array(group, array.name).resize((spec.clips, *row))
        elif array.name not in group:
            add_array(group, array, spec)
    ledger.delete_records_from(path, spec.shards)
    last = (min(old.clips, spec.clips) - 1) // spec.shard_clips
    if old.rows(last) != spec.rows(last):
        ledger.drop(path, last)
    group.update_attributes({**spec.to_json(), "sealed": None})


def _is_blank(path: Path) -> bool:
    """Return whether a folder holds nothing but the ledger folder and Zarr's drafts."""
    return path.is_dir() and all(
        p.name == ledger.FOLDER or p.match(ZARR_DRAFTS) for p in path.iterdir()
    )


def _check_reusable(path: Path, spec: StoreSpec) -> None:
    """Raise StoreError unless the folder is a store with the same settings."""
    advice = "Choose another --out, or use --overwrite to replace it."
    try:
        old = read_spec(path, open_group(path, "r"))
    except StoreError as error:
        # --overwrite refuses to remove what is not a store.
        msg = f"{error}. {advice if is_store(path) else 'Choose another --out.'}"
        raise type(error)(msg) from error
    if old.settings != spec.settings:
        change = old.settings.describe_change(spec.settings)
        msg = f"store {path}: made with other settings ({change}). {advice}"
        raise StoreError(msg)
    for name in ("corpus", "shard_clips"):
        found, expected = getattr(old, name), getattr(spec, name)
        if found != expected:
            msg = f"store {path}: {name} {found!r}, expected {expected!r}. {advice}"
            raise StoreError(msg)


def write_shard(
    path: Path, shard: int, blocks: Mapping[str, NDArray[Any]]
) -> dict[str, str]:
    """Write one whole shard of every array and return their checksums.

    Args:
        path: The store.
        shard: Index of the shard.
        blocks: Rows of the shard, by array name.

    Returns:
        SHA-256 of each block, by array name.

    Raises:
        ValueError: If the blocks do not have the names, shapes or types of this shard.
        StoreError: If a file cannot be written.
    """
    group = open_group(path, "r+")
    spec = read_spec(path, group)
    rows = spec.rows(shard)
    expected = {a.name: a for a in arrays_of(spec.settings)}
    if set(blocks) != set(expected):
        msg = f"shard {shard}: arrays {sorted(blocks)}, expected {sorted(expected)}"
        raise ValueError(msg)
    for name, block in blocks.items():
        shape = (rows.stop - rows.start, *shape_of(expected[name], spec.settings))
        if block.shape != shape or block.dtype != expected[name].dtype:
            msg = (
                f"shard {shard}, {name}: {block.dtype} {block.shape}, "
                f"expected {expected[name].dtype} {shape}"
            )
            raise ValueError(msg)
    try:
        for name, block in blocks.items():
            remove_drafts(path / name / "c" / str(shard), f"**/{ZARR_DRAFTS}")
            # One chunk at a time, or Zarr would hold two copies of every chunk. It
            # also compares each chunk with the fill value, which takes longer than
            # writing it.
            options = {
                "async.concurrency": 1,
                "threading.max_workers": 1,
                "array.write_empty_chunks": _has_no_empty_row(block),
            }
            with zarr.config.set(options):
                get_array(group, name)[rows] = block
    except OSError as error:
        msg = f"store {path}: shard {shard} cannot be written ({error.strerror})"
        raise StoreError(msg) from error
    return {name: checksum(block) for name, block in blocks.items()}


def _has_no_empty_row(block: NDArray[Any]) -> bool:
    """Return True if a sample of its values shows that every row has data."""
    sample = block.reshape(len(block), -1)[:, ::997]
    return bool((np.isfinite(sample) & (sample != 0)).any(axis=1).all())


def checksum(block: NDArray[Any]) -> str:
    """Return the SHA-256 of the bytes of an array in C order."""
    return hashlib.sha256(np.ascontiguousarray(block).data).hexdigest()


def seal(
    path: Path, rows: Sequence[Mapping[str, str]], versions: Mapping[str, str]
) -> str:
    """Write the columns, mark the store as complete, and return its hash.

    Args:
        path: The store.
        rows: Manifest columns of every clip, in the order of the clips: ``clip_id``,
            ``speaker``, ``emotion`` and optional columns of the schema.
        versions: Versions of the packages that made the store.

    Raises:
        StoreIncompleteError: If shards are missing, or the ledger has other clips.
    """
    group = open_group(path, "r+")
    spec = read_spec(path, group)
    records = [ledger.read(path, shard) for shard in range(spec.shards)]
    missing = [shard for shard, record in enumerate(records) if record is None]
    if missing:
        msg = ledger.missing_message(path, missing, spec.shards)
        raise StoreIncompleteError(msg)
    written = [record for record in records if record is not None]
    clips = [clip for record in written for clip in record.clips]
    if [c.clip_id for c in clips] != [row["clip_id"] for row in rows]:
        msg = (
            f"store {path}: the ledger lists other clips than the manifest. Rerun the "
            "mmder-prep command."
        )
        raise StoreIncompleteError(msg)
    for column in COLUMNS:
        write_column(group, column, _column_values(column, rows, clips))
    sha256 = digest(spec.to_json(), [record.key for record in written], list(rows))
    group.update_attributes({"sealed": {"sha256": sha256, "versions": dict(versions)}})
    with warnings.catch_warnings():
        # The ledger folder is not a Zarr node. Zarr v3 does not specify consolidated
        # metadata yet, but with it xarray opens a store without walking the folders.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)
    return sha256


def _column_values(
    column: ArraySpec, rows: Sequence[Mapping[str, str]], clips: Sequence[ClipRecord]
) -> NDArray[Any]:
    """Return the values of a column from the manifest and the ledger."""
    if column.dtype == "str":
        texts = [
            row.get(column.name, getattr(clip, column.name, ""))
            for row, clip in zip(rows, clips, strict=True)
        ]
        return np.array(texts, dtype=object)
    unknown = np.nan if column.dtype.startswith("float") else -1
    numbers = [clip.facts.get(column.name, unknown) for clip in clips]
    return np.array(numbers, dtype=column.dtype)
