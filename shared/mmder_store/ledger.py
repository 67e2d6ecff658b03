"""The ledger of a store: one JSON record per finished shard.

A record lists the clips of a shard, the hashes of their files, their statuses, and the
checksums of the shard. It is written after the arrays of the shard are synced to disk,
and atomically: if the file exists, the shard is done. A killed run leaves no record for
its unfinished shards, so the next run prepares them again. A record has a checksum of
its own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmder_store.atomic_files import atomic_write, write_json
from mmder_store.errors import StoreError
from mmder_store.schema import FORMAT_VERSION, STATUSES
from mmder_store.settings import PrepSettings, digest

FOLDER = "ledger"
"""Folder of the records in a store."""
RUN_FILE = ".run"
"""File in the folder that holds the id of the run in progress. A worker reads it to see
that it writes to the same store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecord:
    """Record of one prepared clip."""

    clip_id: str
    key: str
    """Hash of the media files, the segment, the settings and the format version."""
    status: str
    reason: str = ""
    source_sha256: str = ""
    sound_sha256: str = ""
    """Hash of the separate audio file; empty if there is none."""
    source_stamp: str = ""
    """Sizes and modification times of the files when they were hashed. Files with an
    equal stamp are not hashed again."""
    facts: dict[str, float | int] = field(default_factory=dict)
    """Values of the numeric columns of the schema."""

    def __post_init__(self) -> None:
        """Raise StoreError if the status is not in the schema."""
        if self.status not in STATUSES:
            msg = (
                f"clip {self.clip_id!r}: status {self.status!r}, "
                f"expected one of {STATUSES}"
            )
            raise StoreError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockChecksums:
    """Checksums of the clips of one shard in one array."""

    sha256: str
    """SHA-256 of the bytes of all clips of the shard."""
    crc32c: tuple[int, ...]
    """CRC-32C of the bytes of each clip."""
    file_bytes: int
    """Size of the file of the shard; 0 if no file is written, since all clips are
    empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """Record of one finished shard."""

    shard: int
    clips: tuple[ClipRecord, ...]
    checksums: Mapping[str, BlockChecksums]
    """Checksums by array."""
    fingerprint: str = ""
    """Hash of the software that prepared the shard. A store is sealed only if all of
    its shards have the same."""
    host: str = ""
    """Name of the machine that prepared the shard."""

    def content(self) -> dict[str, Any]:
        """Return the record as JSON values, without what depends on the machine.

        These are the modification times of the media files, the sizes of the compressed
        shards, the software and the host.
        """
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del values["fingerprint"], values["host"]
        for clip in values["clips"]:
            del clip["source_stamp"]
        for checksums in values["checksums"].values():
            del checksums["file_bytes"]
        return values


def clip_key(source_sha256: str, part: object, settings: PrepSettings) -> str:
    """Return the hash of everything that determines the arrays of one clip."""
    return digest(FORMAT_VERSION, settings.to_json(), source_sha256, part)


def _file(store: Path, shard: int) -> Path:
    return store / FOLDER / f"{shard:06d}.json"


def write(store: Path, record: ShardRecord) -> None:
    """Mark a shard as done. Its arrays must be on disk, as `write_shard` leaves them.

    Raises:
        StoreError: If the file cannot be written.
    """
    content = asdict(record)
    try:
        write_json(_file(store, record.shard), {**content, "sha256": digest(content)})
    except OSError as error:
        msg = (
            f"store {store}: the ledger of shard {record.shard} cannot be written "
            f"({error.strerror}). Rerun the same mmder-prep command to resume."
        )
        raise StoreError(msg) from error


def exists(store: Path, shard: int) -> bool:
    """Return whether a shard is done."""
    return _file(store, shard).is_file()


def drop(store: Path, shard: int) -> None:
    """Mark a shard as not done, before its arrays are written again."""
    _file(store, shard).unlink(missing_ok=True)


def read(store: Path, shard: int) -> ShardRecord | None:
    """Read the record of a shard, or return None if the shard is not done.

    Raises:
        StoreError: If the file is not a valid record.
    """
    path = _file(store, shard)
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        found, expected = content.pop("sha256"), digest(content)
        if found != expected or content["shard"] != shard:
            msg = "its bytes differ from those that were written"
            raise ValueError(msg)
        clips = tuple(ClipRecord(**c) for c in content.pop("clips"))
        checksums = {
            name: BlockChecksums(**{**values, "crc32c": tuple(values["crc32c"])})
            for name, values in content.pop("checksums").items()
        }
        return ShardRecord(clips=clips, checksums=checksums, **content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = (
            f"ledger file {path}: not a shard record ({error}). Delete the file; "
            "the next run of the same mmder-prep command then prepares this shard "
            "again."
        )
        raise StoreError(msg) from error


def read_all(store: Path, shards: int) -> list[ShardRecord | None]:
    """Read the records of all shards; a shard that is not done is None.

    Raises:
        StoreError: If a file is not a valid record.
    """
    return [read(store, shard) for shard in range(shards)]


def drop_damaged(store: Path, shards: int) -> list[int]:
    """Delete the files that are not valid records, and return their shards.

    The shards are prepared again.
    """
    damaged = []
    for shard in range(shards):
        try:
            read(store, shard)
        except StoreError:
            drop(store, shard)
            damaged.append(shard)
    return damaged


def delete_records_from(store: Path, shards: int) -> None:
    """Delete the records of shards with an index of `shards` or higher."""
    for path in (store / FOLDER).glob("*.json"):
        if path.stem.isdigit() and int(path.stem) >= shards:
            path.unlink()


def missing_message(store: Path, missing: Sequence[int], total: int) -> str:
    """Return the error message for a store that lacks shards."""
    shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
    return (
        f"store {store}: {len(missing)} of {total} shards are not written ({shown}). "
        "Rerun the same mmder-prep command to resume."
    )


@contextmanager
def announce_run(store: Path, run: str) -> Iterator[None]:
    """Write the id of a run into the store while the run is in progress.

    Raises:
        StoreError: If the file cannot be written.
    """
    begin_run(store, run)
    try:
        yield
    finally:
        end_run(store)


def begin_run(store: Path, run: str) -> None:
    """Write the id of a run into the store.

    Raises:
        StoreError: If the file cannot be written.
    """
    try:
        with atomic_write(store / FOLDER / RUN_FILE) as draft:
            draft.write_text(run)
    except OSError as error:
        msg = f"store {store}: cannot be written ({error.strerror}: {error.filename})"
        raise StoreError(msg) from error


def end_run(store: Path) -> None:
    """Remove the id of a run from the store."""
    (store / FOLDER / RUN_FILE).unlink(missing_ok=True)


def read_run(store: Path) -> str:
    """Return the id of the run in progress; empty if there is none."""
    try:
        return (store / FOLDER / RUN_FILE).read_text()
    except (OSError, ValueError):
        return ""


@contextmanager
def write_lock(store: Path) -> Iterator[None]:
    """Lock the store for one writer. The lock ends with the process.

    Raises:
        StoreError: If another process holds the lock, or the folder is not writable.
    """
    folder = store / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".writer").open("a")
    except OSError as error:
        msg = (
            f"store {store}: cannot be written ({error.strerror}); choose another --out"
        )
        raise StoreError(msg) from error
    with lock as file:
        try:
            import fcntl
        except ImportError:  # Windows has no such lock
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"store {store}: another mmder-prep writes to it; wait for it"
            raise StoreError(msg) from error
        yield
