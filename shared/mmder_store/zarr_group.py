"""The Zarr group of a store: opening it, reading its specification, adding arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.dtype import VariableLengthUTF8

from mmder_store.errors import StoreError, StoreVersionError
from mmder_store.schema import FORMAT_VERSION, ArraySpec, shape_of
from mmder_store.seal import WAY_OUT
from mmder_store.store_spec import FORMAT_KEY, StoreSpec

CODECS = {"none": None, "zstd": ZstdCodec(level=-1)}
"""Codecs that arrays are written with. An array names the codec to read it with."""


def open_group(path: Path, mode: str) -> zarr.Group:
    """Open the group of a store of this format version, sealed or not.

    Raises:
        StoreError: If the folder is not a store.
        StoreVersionError: If the store has another format version.
    """
    if not path.exists():
        msg = (
            f"store {path}: no such folder; check the path, or make a store with "
            "mmder-prep"
        )
        raise StoreError(msg)
    if not (path / "zarr.json").is_file():
        msg = f"store {path}: no zarr.json in this folder; not a store of mmder-prep"
        raise StoreError(msg)
    try:
        # Consolidated metadata are for xarray; after a change they would be stale.
        group = zarr.open_group(path, mode=mode, use_consolidated=False)  # type: ignore[arg-type]
        version = group.attrs.asdict().get(FORMAT_KEY)
    except Exception as error:
        msg = f"store {path}: its zarr.json cannot be read ({error}). {WAY_OUT}"
        raise StoreError(msg) from error
    if version is None:
        msg = f"store {path}: a Zarr group, but not made by mmder-prep"
        raise StoreError(msg)
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        advice = "update mmder" if newer else "prepare the corpus again"
        msg = (
            f"store {path}: format {version!r}, this mmder reads format "
            f"{FORMAT_VERSION}; {advice}"
        )
        raise StoreVersionError(msg)
    return group


def is_store(path: Path) -> bool:
    """Return whether a folder is a store of any format version, complete or not.

    A folder whose zarr.json is damaged is a store if it has ledger records.
    """
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        attributes = None
    if isinstance(attributes, dict):
        return FORMAT_KEY in attributes
    return any((path / "ledger").glob("[0-9]" * 6 + ".json"))


def read_spec(path: Path, group: zarr.Group) -> StoreSpec:
    """Read the specification of a store.

    Raises:
        StoreError: If the attributes are damaged.
    """
    try:
        return StoreSpec.from_json(group.attrs.asdict())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"store {path}: its attributes are damaged ({error!r}). {WAY_OUT}"
        raise StoreError(msg) from error


def get_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array or column of the group.

    Raises:
        StoreError: If there is no such array, or its metadata are damaged.
    """
    path = group.store_path.store
    try:
        node = group[name]
    except Exception as error:  # Zarr raises errors of many types
        msg = f"{path}: the metadata of {name!r} cannot be read ({error}). {WAY_OUT}"
        raise StoreError(msg) from error
    if not isinstance(node, zarr.Array):
        msg = f"{path}: {name!r} is a group, expected an array. {WAY_OUT}"
        raise StoreError(msg)
    return node


def read_column(path: Path, group: zarr.Group, column: ArraySpec) -> NDArray[Any]:
    """Read a column. Texts are returned as an object array of str.

    Raises:
        StoreError: If the column cannot be read.
    """
    array = get_array(group, column.name)
    try:
        values = np.asarray(array[:])
    except Exception as error:  # every codec raises errors of its own
        msg = f"store {path}: column {column.name} cannot be read ({error}). {WAY_OUT}"
        raise StoreError(msg) from error
    return values.astype(object) if column.dtype == "str" else values


def shard_file(path: Path, array: ArraySpec, shard: int) -> Path:
    """Return the file of one shard of an array."""
    return (
        path / array.name / "c" / "/".join([str(shard), *["0"] * len(array.dims[1:])])
    )


def add_array(group: zarr.Group, array: ArraySpec, spec: StoreSpec) -> None:
    """Create an array without data."""
    row = shape_of(array, spec.settings)
    shard = (spec.shard_clips, *row)
    group.create_array(
        array.name,
        shape=(spec.clips, *row),
        dtype=array.dtype,
        chunks=(1, *row) if array.heavy else shard,
        shards=shard if array.heavy else None,
        compressors=CODECS[array.codec],
        fill_value=np.nan if array.dtype.startswith("float") else 0,
        dimension_names=array.dims,
        attributes={"units": array.unit, "long_name": array.meaning},
    )


def write_column(group: zarr.Group, column: ArraySpec, values: NDArray[Any]) -> None:
    """Write a column with one row per clip, replacing an existing one."""
    dtype: Any = VariableLengthUTF8() if column.dtype == "str" else column.dtype
    array = group.create_array(
        column.name,
        shape=values.shape,
        dtype=dtype,
        chunks=tuple(max(1, length) for length in values.shape),
        dimension_names=column.dims,
        attributes={"units": column.unit, "long_name": column.meaning},
        overwrite=True,
    )
    array[:] = values
