"""Sealing of a store: columns, consolidated metadata, and the seal, in this order."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from mmder_store import ledger
from mmder_store.atomic_files import atomic_write, sync_with_folders
from mmder_store.errors import StoreIncompleteError
from mmder_store.ledger import ClipRecord, ShardRecord
from mmder_store.schema import CHECKSUMS, COLUMNS, ArraySpec, arrays_of
from mmder_store.seal import (
    ATTRIBUTE,
    create_seal,
    hash_columns,
    hash_ledger,
    hash_metadata,
    read_seal,
)
from mmder_store.store_spec import StoreSpec
from mmder_store.zarr_group import open_group, read_column, read_spec, write_column

Columns = dict[str, NDArray[Any]]


def write_columns(
    path: Path,
    group: zarr.Group,
    rows: Sequence[Mapping[str, str]],
    records: Sequence[ShardRecord],
) -> Columns:
    """Write all columns and the checksums of the clips, and return them."""
    clips = [clip for record in records for clip in record.clips]
    columns = {c.name: column_values(c, rows, clips) for c in COLUMNS}
    arrays = [a.name for a in arrays_of(read_spec(path, group).settings)]
    columns[CHECKSUMS.name] = np.concatenate(
        [checksum_rows(record, arrays) for record in records]
    )
    for column in (*COLUMNS, CHECKSUMS):
        write_column(group, column, columns[column.name])
    files = (f for name in columns for f in (path / name).rglob("*") if f.is_file())
    sync_with_folders(files, path)
    return columns


def column_values(
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


def checksum_rows(record: ShardRecord, arrays: Sequence[str]) -> NDArray[np.uint32]:
    """Return the checksums of the clips of a shard: one row per clip."""
    values = [record.checksums[name].crc32c for name in arrays]
    return np.array(values, dtype=CHECKSUMS.dtype).T.reshape(-1, len(arrays))


def write_seal(
    path: Path,
    spec: StoreSpec,
    columns: Columns,
    records: Sequence[ShardRecord],
    versions: Mapping[str, str],
) -> str:
    """Consolidate the metadata, write the seal, and return the hash of the store."""
    with warnings.catch_warnings():
        # The ledger folder is not a Zarr node. Zarr v3 does not specify consolidated
        # metadata yet, but with it xarray opens a store without walking the folders.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)
    seal = create_seal(
        spec.to_json(),
        columns=hash_columns(columns),
        ledger=hash_ledger(records),
        metadata=hash_metadata(path, spec.settings),
        versions=versions,
    )
    file = path / "zarr.json"
    content = json.loads(file.read_bytes())
    content["attributes"] = {**spec.to_json(), ATTRIBUTE: seal.to_json()}
    nodes = content["consolidated_metadata"]["metadata"]
    content["consolidated_metadata"]["metadata"] = dict(sorted(nodes.items()))
    with atomic_write(file) as draft:
        draft.write_text(json.dumps(content, indent=2))
    return seal.sha256


def reseal(path: Path) -> str:
    """Seal a store again after arrays were written with another codec.

    Returns:
        Hash of the store, which does not change.

    Raises:
        StoreIncompleteError: If the store was not sealed.
        StoreError: If it is damaged.
    """
    group = open_group(path, "r")
    spec, seal = read_spec(path, group), read_seal(path, group.attrs.asdict())
    if seal is None:
        msg = f"store {path}: not sealed. Rerun the same mmder-prep command."
        raise StoreIncompleteError(msg)
    columns = {c.name: read_column(path, group, c) for c in (*COLUMNS, CHECKSUMS)}
    records = [r for r in ledger.read_all(path, spec.shards) if r is not None]
    return write_seal(path, spec, columns, records, seal.versions)
