"""Write a store: create it, write its shards, seal it.

A store is one Zarr v3 group. One clip is one inner chunk of the heavy arrays, and one
shard holds `shard_clips` clips. `write_shard` writes one whole shard of every array, so
two writers never write to the same file. Between `create` and `seal` the store cannot
be read. `seal` fails while a shard is missing.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from mmder_store import ledger
from mmder_store.atomic_files import ZARR_DRAFTS, remove_drafts, sync_with_folders
from mmder_store.checksums import crc32c, sha256
from mmder_store.errors import StoreError, StoreIncompleteError, StoreVersionError
from mmder_store.ledger import BlockChecksums
from mmder_store.metadata_repair import repair_arrays
from mmder_store.schema import CHECKSUMS, COLUMNS, arrays_of, shape_of
from mmder_store.seal import ATTRIBUTE, read_seal
from mmder_store.sealing import write_columns, write_seal
from mmder_store.store_spec import StoreSpec
from mmder_store.zarr_group import (
    add_array,
    get_array,
    is_store,
    open_group,
    read_spec,
    shard_file,
)


def create(path: Path, spec: StoreSpec) -> None:
    """Create a store, or open an existing one for writing and keep its shards.

    An existing seal is removed first, so that readers never open a store that is being
    changed. Damaged metadata are written again.

    Raises:
        StoreError: If the folder holds something else, or a store with other settings,
            or if it cannot be written.
    """
    check_reusable(path, spec)
    try:
        if path.exists() and not _is_blank(path):
            _reopen(path, spec)
        else:
            _create_new(path, spec)
        sync_with_folders(path.glob("**/zarr.json"), path)
    except OSError as error:
        msg = f"store {path}: cannot be written ({error.strerror}: {error.filename})"
        raise StoreError(msg) from error


def _create_new(path: Path, spec: StoreSpec) -> None:
    (path / ledger.FOLDER).mkdir(parents=True, exist_ok=True)
    ledger.delete_records_from(path, 0)
    remove_drafts(path, ZARR_DRAFTS)
    group = _create_group(path, spec)
    for array in arrays_of(spec.settings):
        add_array(group, array, spec)


def _create_group(path: Path, spec: StoreSpec) -> zarr.Group:
    """Write the metadata of a store that is not sealed, in one step.

    A group without attributes would be that of another program.
    """
    attributes = {**spec.to_json(), ATTRIBUTE: None}
    return zarr.create_group(path, zarr_format=3, attributes=attributes)


def _reopen(path: Path, spec: StoreSpec) -> None:
    """Open an existing store for writing, and adapt it to the number of clips."""
    for folder in (path, *(path / a.name for a in arrays_of(spec.settings))):
        remove_drafts(folder, ZARR_DRAFTS)
    _remove_shard_drafts(path, spec)
    try:
        group = open_group(path, "r+")
        old_clips = read_spec(path, group).clips
    except StoreError:  # damaged; `check_reusable` has found that it is a store
        (path / "zarr.json").unlink(missing_ok=True)
        group = _create_group(path, spec)
        old_clips = spec.clips
    group.update_attributes({ATTRIBUTE: None})
    for column in (*COLUMNS, CHECKSUMS):
        shutil.rmtree(path / column.name, ignore_errors=True)
    for array in arrays_of(spec.settings):
        if old_clips != spec.clips and (path / array.name / "zarr.json").is_file():
            row = shape_of(array, spec.settings)
            get_array(group, array.name).resize((spec.clips, *row))
    ledger.delete_records_from(path, spec.shards)
    last = (min(old_clips, spec.clips) - 1) // spec.shard_clips
    start = last * spec.shard_clips
    if min(start + spec.shard_clips, old_clips) != spec.rows(last).stop:
        ledger.drop(path, last)
    repair_arrays(path, group, spec)
    group.attrs.put({**spec.to_json(), ATTRIBUTE: None})


def _remove_shard_drafts(path: Path, spec: StoreSpec) -> None:
    """Remove the drafts of killed workers, and the id of a killed run.

    Only the run that holds the lock does this, before its workers start and after they
    end: two workers can write the same shard if the first one was believed lost.
    """
    remove_drafts(path / ledger.FOLDER)
    (path / ledger.FOLDER / ledger.RUN_FILE).unlink(missing_ok=True)
    for array in arrays_of(spec.settings):
        for shard in range(spec.shards):
            remove_drafts(shard_file(path, array, shard).parent, ZARR_DRAFTS)


def _is_blank(path: Path) -> bool:
    """Return whether a folder holds nothing but the ledger folder and Zarr's drafts."""
    return path.is_dir() and all(
        p.name == ledger.FOLDER or p.match(ZARR_DRAFTS) for p in path.iterdir()
    )


def check_reusable(path: Path, spec: StoreSpec) -> None:
    """Check that a folder is free, or is a store with the same settings.

    A store whose own metadata are damaged is reusable: the ledger has what is needed to
    find the shards that are up to date.

    Raises:
        StoreError: If it is neither.
    """
    if not path.exists() or _is_blank(path):
        return
    advice = "Choose another --out, or use --overwrite to replace it."
    try:
        group = open_group(path, "r")
        old = read_spec(path, group)
        read_seal(path, group.attrs.asdict())
    except StoreError as error:
        if not isinstance(error, StoreVersionError) and _has_records(path):
            return
        if not is_store(path):  # --overwrite refuses to remove what is not a store
            advice = "Choose another --out."
        msg = f"{error} {advice}" if str(error).endswith(".") else f"{error}. {advice}"
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


def _has_records(path: Path) -> bool:
    """Return whether a folder has a valid ledger record of this format version."""
    for file in (path / ledger.FOLDER).glob("*.json"):
        try:
            if file.stem.isdigit() and ledger.read(path, int(file.stem)) is not None:
                return True
        except StoreError:
            continue
    return False


def write_shard(
    path: Path, shard: int, blocks: Mapping[str, NDArray[Any]]
) -> dict[str, BlockChecksums]:
    """Write one whole shard of every array, sync it to disk, and return its checksums.

    Args:
        path: The store.
        shard: Index of the shard.
        blocks: Rows of the shard, by array name.

    Returns:
        Checksums of each block, by array name.

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
    files = {name: shard_file(path, expected[name], shard) for name in blocks}
    try:
        for name, block in blocks.items():
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
        # Otherwise, a power cut would leave a ledger record without its data.
        sync_with_folders((f for f in files.values() if f.exists()), path)
        sizes = {name: file_bytes(file) for name, file in files.items()}
    except OSError as error:
        msg = f"store {path}: shard {shard} cannot be written ({error.strerror})"
        raise StoreError(msg) from error
    return {
        name: BlockChecksums(
            sha256=sha256(block),
            crc32c=tuple(map(crc32c, block)),
            file_bytes=sizes[name],
        )
        for name, block in blocks.items()
    }


def file_bytes(file: Path) -> int:
    """Return the size of a file, or 0 if it does not exist."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def missing_files(path: Path, record: ledger.ShardRecord, spec: StoreSpec) -> list[str]:
    """Return the arrays whose file of a shard is missing or has another size.

    This finds the damage of a power cut and of an incomplete copy in little time.
    """
    return [
        array.name
        for array in arrays_of(spec.settings)
        if array.name not in record.checksums
        or file_bytes(shard_file(path, array, record.shard))
        != record.checksums[array.name].file_bytes
    ]


def _has_no_empty_row(block: NDArray[Any]) -> bool:
    """Return True if a sample of its values shows that every row has data."""
    sample = block.reshape(len(block), -1)[:, ::997]
    return bool((np.isfinite(sample) & (sample != 0)).any(axis=1).all())


def seal(
    path: Path, rows: Sequence[Mapping[str, str]], versions: Mapping[str, str]
) -> str:
    """Write the columns, mark the store as complete, and return its hash.

    The seal is written last. A run that is killed before is resumed by the next one.

    Args:
        path: The store.
        rows: Manifest columns of every clip, in the order of the clips: ``clip_id``,
            ``speaker``, ``emotion`` and optional columns of the schema.
        versions: Versions of the packages that made the store.

    Raises:
        StoreIncompleteError: If shards are missing, the ledger has other clips, or the
            shards were not all prepared by the same software.
        StoreError: If a file cannot be written.
    """
    group = open_group(path, "r+")
    spec = read_spec(path, group)
    records = ledger.read_all(path, spec.shards)
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
    check_fingerprints(path, written)
    try:
        _remove_shard_drafts(path, spec)
        columns = write_columns(path, group, rows, written)
        return write_seal(path, spec, columns, written, versions)
    except OSError as error:
        msg = (
            f"store {path}: cannot be sealed ({error.strerror}: {error.filename}). "
            "Rerun the same mmder-prep command to resume."
        )
        raise StoreError(msg) from error


def check_fingerprints(path: Path, records: Sequence[ledger.ShardRecord]) -> None:
    """Check that all shards were prepared by the same software.

    Raises:
        StoreIncompleteError: If they were not, with shards that differ.
    """
    first: dict[str, int] = {}
    for record in records:
        first.setdefault(record.fingerprint, record.shard)
    if len(first) > 1:
        shards = " and ".join(map(str, list(first.values())[:2]))
        msg = (
            f"store {path}: shards {shards} were prepared by different versions of "
            "mmder or its packages. Rerun the same mmder-prep command, which prepares "
            "the shards of other versions again."
        )
        raise StoreIncompleteError(msg)
