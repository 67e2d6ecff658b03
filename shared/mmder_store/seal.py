"""Seal of a store: hashes that cover its whole content.

`sha256` identifies the content: specification, columns, and ledger with the checksums
of every shard. Two stores with the same hash hold the same bytes. The hashes of the
specification, the columns and the metadata files are recomputed when a store is opened,
that of the ledger by `mmder-prep verify`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmder_store.errors import StoreError
from mmder_store.ledger import ShardRecord
from mmder_store.schema import CHECKSUMS, COLUMNS, arrays_of
from mmder_store.settings import PrepSettings, digest

ATTRIBUTE = "sealed"
"""Attribute of the group that holds the seal; None while the store is written."""
WAY_OUT = (
    "Run 'mmder-prep verify --repair' on the store, then the mmder-prep command that "
    "made it, which prepares only what is damaged."
)
"""Advice for damaged stores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Seal of a store."""

    sha256: str
    """Hash of the content: of the specification, `columns` and `ledger`."""
    columns: str
    """Hash of the columns and of the checksums of the clips."""
    ledger: str
    """Hash of the ledger."""
    metadata: str
    """Hash of the metadata of all arrays and columns."""
    versions: Mapping[str, str]
    """Versions of the packages that made the store."""
    check: str
    """Hash of all of the above."""

    def to_json(self) -> dict[str, Any]:
        """Return the value of the attribute."""
        return {
            "sha256": self.sha256,
            "columns": self.columns,
            "ledger": self.ledger,
            "metadata": self.metadata,
            "versions": dict(self.versions),
            "check": self.check,
        }


def create_seal(
    spec: Mapping[str, Any],
    *,
    columns: str,
    ledger: str,
    metadata: str,
    versions: Mapping[str, str],
) -> Seal:
    """Return the seal of a specification and of the hashes of everything else."""
    sha256 = digest(spec, columns, ledger)
    return Seal(
        sha256=sha256,
        columns=columns,
        ledger=ledger,
        metadata=metadata,
        versions=versions,
        check=digest(sha256, columns, ledger, metadata, dict(versions)),
    )


def read_seal(path: Path, attributes: Mapping[str, Any]) -> Seal | None:
    """Return the seal in the attributes of a group, or None if there is none.

    Raises:
        StoreError: If the seal is damaged, or the specification differs from it.
    """
    stored = attributes.get(ATTRIBUTE)
    if stored is None:
        return None
    try:
        seal = Seal(**stored)
        spec = {k: v for k, v in attributes.items() if k != ATTRIBUTE}
        expected = create_seal(
            spec,
            columns=seal.columns,
            ledger=seal.ledger,
            metadata=seal.metadata,
            versions=seal.versions,
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreError(_damaged(path, f"the seal is damaged ({error})")) from error
    if seal != expected:
        raise StoreError(_damaged(path, "its attributes differ from its seal"))
    return seal


def hash_columns(columns: Mapping[str, NDArray[Any]]) -> str:
    """Return the hash of the columns and of the checksums of the clips."""
    return digest({name: _hash_column(values) for name, values in columns.items()})


def _hash_column(values: NDArray[Any]) -> str:
    if values.dtype == object:
        return digest("str", [str(value) for value in values])
    content = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    return digest(values.dtype.str, list(values.shape), content)


def hash_ledger(records: Iterable[ShardRecord]) -> str:
    """Return the hash of the ledger, without what depends on the machine."""
    return digest([record.content() for record in records])


def hash_metadata(path: Path, settings: PrepSettings) -> str:
    """Return the hash of the metadata files of all arrays and columns.

    Raises:
        StoreError: If a file is missing or is not JSON.
    """
    names = [a.name for a in (*arrays_of(settings), *COLUMNS, CHECKSUMS)]
    return digest({name: read_metadata(path, name) for name in names})


def read_metadata(path: Path, name: str) -> Any:  # noqa: ANN401
    """Return the metadata of an array or column as JSON values.

    Raises:
        StoreError: If the file is missing or is not JSON.
    """
    try:
        return json.loads((path / name / "zarr.json").read_bytes())
    except (OSError, ValueError) as error:
        text = f"the metadata of {name!r} cannot be read ({error})"
        raise StoreError(_damaged(path, text)) from error


def check_metadata(path: Path, seal: Seal, settings: PrepSettings) -> None:
    """Check the metadata files of all arrays and columns against the seal.

    Raises:
        StoreError: If they differ.
    """
    if hash_metadata(path, settings) != seal.metadata:
        text = "the metadata of its arrays differ from its seal"
        raise StoreError(_damaged(path, text))


def check_columns(path: Path, seal: Seal, columns: Mapping[str, NDArray[Any]]) -> None:
    """Check the columns against the seal.

    Raises:
        StoreError: If they differ.
    """
    if hash_columns(columns) != seal.columns:
        raise StoreError(_damaged(path, "its columns differ from its seal"))


def _damaged(path: Path, text: str) -> str:
    return f"store {path}: {text}. {WAY_OUT}"
