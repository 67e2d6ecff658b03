"""Files of features for other programs: NumPy archives and Parquet.

No file contains Python objects: ``np.load`` reads the archive with its default
``allow_pickle=False``.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_train.experiment.feature_table import FeatureTable

METADATA = "metadata"
"""Name of the entry with the metadata: JSON text."""


def check_feature_file(path: Path) -> None:
    """Check that a file of features can be written, before anything is computed.

    Raises:
        SettingsError: If the format is unknown or needs a package that is missing, or
            if the path is a folder.
    """
    if path.suffix not in WRITERS:
        formats = " or ".join(WRITERS)
        msg = f"--out {path}: expected a file name that ends with {formats}"
        raise SettingsError(msg)
    if path.is_dir():
        msg = f"--out {path}: is a folder. Choose a file name."
        raise SettingsError(msg)
    if path.suffix == ".parquet":
        _import_pyarrow(path)


def write_features(path: Path, table: FeatureTable) -> None:
    """Write a table in the format of the file name. An old file is replaced.

    Args:
        path: File that `check_feature_file` accepts.
        table: Clips and features.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_write(path) as draft:
        WRITERS[path.suffix](draft, table)


def _write_npz(path: Path, table: FeatureTable) -> None:
    """Write one array per column; text has a fixed width."""
    metadata = np.array(json.dumps(table.metadata, sort_keys=True), dtype=np.str_)
    arrays: dict[str, Any] = {**table.columns(), METADATA: metadata}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _write_parquet(path: Path, table: FeatureTable) -> None:
    """Write one column each; features are lists of a fixed size."""
    pa = _import_pyarrow(path)
    import pyarrow.parquet as pq

    columns = {
        name: pa.array(values)
        if values.ndim == 1
        else pa.FixedSizeListArray.from_arrays(
            pa.array(values.reshape(-1)), values.shape[1]
        )
        for name, values in table.columns().items()
    }
    text = json.dumps(table.metadata, sort_keys=True)
    pq.write_table(pa.table(columns).replace_schema_metadata({"mmder": text}), path)


def _import_pyarrow(path: Path) -> Any:  # noqa: ANN401
    try:
        import pyarrow as pa
    except ImportError as error:
        msg = (
            f"--out {path.name}: Parquet needs pyarrow, which is not installed; "
            "install mmder with the extra 'parquet', or write NAME.npz"
        )
        raise SettingsError(msg) from error
    return pa


WRITERS: dict[str, Callable[[Path, FeatureTable], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
"""Function that writes each format, by file name suffix."""
