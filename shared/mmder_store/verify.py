"""Verification of a store against its ledger and its seal, and marking of damage."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmder_store import ledger
from mmder_store.checksums import sha256
from mmder_store.errors import StoreError
from mmder_store.ledger import ShardRecord
from mmder_store.schema import CHECKSUMS, COLUMNS, arrays_of
from mmder_store.seal import ATTRIBUTE, hash_ledger, read_metadata
from mmder_store.sealing import checksum_rows, column_values
from mmder_store.store import Store
from mmder_store.zarr_group import open_group


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A difference between a store and its ledger or seal."""

    text: str
    """Description, in one line."""
    shard: int | None = None
    """Shard that must be prepared again; None if writing the metadata is enough."""

    def __str__(self) -> str:
        """Return the description."""
        return self.text


def verify_store(store: Store) -> Iterator[Problem]:
    """Read every shard, compare it with the ledger, and yield one entry per problem.

    Columns, attributes and metadata were compared with the seal when the store was
    opened.
    """
    records: list[ShardRecord] = []
    sound = True
    for shard in range(store.spec.shards):
        try:
            record = ledger.read(store.path, shard)
        except StoreError as error:
            yield Problem(text=f"shard {shard}: {error}", shard=shard)
            continue
        if record is None:
            yield Problem(text=f"shard {shard}: no ledger file", shard=shard)
            continue
        records.append(record)
        for problem in _shard_problems(store, record):
            sound = False
            yield problem
    sound = sound and len(records) == store.spec.shards
    if sound and hash_ledger(records) != store.seal.ledger:
        yield Problem(text="the ledger differs from the seal")
    yield from _consolidated_problems(store)


def _shard_problems(store: Store, record: ShardRecord) -> Iterator[Problem]:
    """Compare one shard with the columns and with its record."""
    shard, rows = record.shard, store.spec.rows(record.shard)
    if tuple(c.clip_id for c in record.clips) != store.clip_ids[rows]:
        yield Problem(
            text=f"shard {shard}: ledger and column clip_id differ", shard=shard
        )
        return
    arrays = [a.name for a in arrays_of(store.spec.settings)]
    if set(record.checksums) != set(arrays):
        yield Problem(text=f"shard {shard}: ledger has other arrays", shard=shard)
        return
    yield from _column_problems(store, record)
    if not np.array_equal(checksum_rows(record, arrays), store.checksums[rows]):
        text = f"shard {shard}: the checksums of ledger and store differ"
        yield Problem(text=text, shard=shard)
    for name in arrays:
        try:
            block = store.read_shard(name, shard)
        except Exception as error:  # every codec raises errors of its own
            text = f"shard {shard}, {name}: cannot be read ({_short(error)})"
            yield Problem(text=text, shard=shard)
            continue
        if sha256(block) != record.checksums[name].sha256:
            text = f"shard {shard}, {name}: bytes differ from the ledger"
            yield Problem(text=text, shard=shard)


def _column_problems(store: Store, record: ShardRecord) -> Iterator[Problem]:
    """Compare the columns that come from the ledger with a record."""
    rows = store.spec.rows(record.shard)
    for column in COLUMNS:
        known = column.dtype != "str" or hasattr(record.clips[0], column.name)
        if not known:
            continue  # from the manifest
        expected = column_values(column, [{} for _ in record.clips], record.clips)
        found = store.columns[column.name][rows]
        if column.dtype == "str":
            same = list(found) == list(expected)
        else:
            same = np.array_equal(found, expected, equal_nan=True)
        if not same:
            text = f"shard {record.shard}: ledger and column {column.name} differ"
            yield Problem(text=text, shard=record.shard)


def _consolidated_problems(store: Store) -> Iterator[Problem]:
    """Compare the consolidated metadata, which xarray reads, with the metadata."""
    content = read_metadata(store.path, ".")
    nodes = (*store.arrays, *store.columns, CHECKSUMS.name)
    expected = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {name: read_metadata(store.path, name) for name in nodes},
    }
    if content.get("consolidated_metadata") != expected:
        yield Problem(text="the consolidated metadata differ from those of the arrays")


def mark_damaged(path: Path, problems: Sequence[Problem]) -> int:
    """Remove the seal and the ledger records of damaged shards.

    The mmder-prep command that made the store then prepares these shards again, and
    writes columns and metadata again.

    Returns:
        Number of shards to prepare again.

    Raises:
        StoreError: If another process writes to the store.
    """
    shards = {p.shard for p in problems if p.shard is not None}
    with ledger.write_lock(path):
        with suppress(StoreError):  # damaged metadata: no reader opens the store
            open_group(path, "r+").update_attributes({ATTRIBUTE: None})
        for shard in shards:
            ledger.drop(path, shard)
    return len(shards)


def _short(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
