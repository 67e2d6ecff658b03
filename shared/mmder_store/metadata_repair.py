"""Repair of damaged metadata files: they follow from the specification of the store."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore

from mmder_store import ledger
from mmder_store.checksums import sha256
from mmder_store.errors import StoreError
from mmder_store.schema import ArraySpec, arrays_of
from mmder_store.store_spec import StoreSpec
from mmder_store.zarr_group import add_array, get_array


def repair_arrays(path: Path, group: zarr.Group, spec: StoreSpec) -> None:
    """Write the metadata of arrays again if they are missing or damaged.

    The shards of these arrays are then compared with the ledger. Those that differ are
    marked as not done, so that they are prepared again. An array with another codec is
    left as it is: it names the codec to read it with.
    """
    for array in arrays_of(spec.settings):
        if _is_sound(group, array, spec):
            continue
        (path / array.name / "zarr.json").unlink(missing_ok=True)
        add_array(group, array, spec)
        repaired = get_array(group, array.name)
        for shard in range(spec.shards):
            record = ledger.read(path, shard)
            if record is not None and not _matches(repaired, record, spec):
                ledger.drop(path, shard)


def _is_sound(group: zarr.Group, array: ArraySpec, spec: StoreSpec) -> bool:
    """Return whether an array has the metadata of its specification."""
    expected_group = zarr.create_group(MemoryStore(), zarr_format=3)
    add_array(expected_group, array, spec)
    expected = _layout(get_array(expected_group, array.name))
    try:
        return _layout(get_array(group, array.name)) == expected
    except StoreError:
        return False


def _layout(array: zarr.Array[Any]) -> dict[str, Any]:
    """Return the metadata of an array except for its codec."""
    layout = array.metadata.to_dict()
    del layout["codecs"]
    fill = array.fill_value
    number = isinstance(fill, float | np.floating)
    layout["fill_value"] = "NaN" if number and math.isnan(fill) else fill
    return {**layout, "chunks": array.chunks, "shards": array.shards}


def _matches(
    array: zarr.Array[Any], record: ledger.ShardRecord, spec: StoreSpec
) -> bool:
    """Return whether the shard of an array has the bytes that the ledger states."""
    name = array.path.rsplit("/", 1)[-1]
    try:
        block = np.asarray(array[spec.rows(record.shard)])
    except Exception:  # every codec raises errors of its own
        return False
    return name in record.checksums and sha256(block) == record.checksums[name].sha256
