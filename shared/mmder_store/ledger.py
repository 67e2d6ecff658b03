"""Which shards are done, from what, and what became of every clip.

One JSON file a shard, written beside and renamed once the shard's arrays are
on disk: *existing means done*. A run that is killed leaves no such file for
the shard it was in, so the next run does that shard again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmder_store.atomic_files import write_json
from mmder_store.errors import StoreError
from mmder_store.schema import FORMAT_VERSION, STATUSES
from mmder_store.settings import PrepSettings, digest

FOLDER = "ledger"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecord:
    """What is known of one clip after its shard is written."""

    clip_id: str
    key: str
    """Hash of the media, the part asked for, the settings and the format."""
    status: str
    reason: str = ""
    source_sha256: str = ""
    sound_sha256: str = ""
    """Of the sound's own file, where it has one."""
    source_stamp: str = ""
    """Size and time of the files when they were hashed; equal ones spare a hash."""
    facts: dict[str, float | int] = field(default_factory=dict)
    """Numeric columns of the schema."""

    def __post_init__(self) -> None:
        """Refuse a status that readers do not know."""
        if self.status not in STATUSES:
            msg = f"clip {self.clip_id!r}: status {self.status!r} is none of {STATUSES}"
            raise StoreError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """What is known of one shard once it is written."""

    shard: int
    clips: tuple[ClipRecord, ...]
    checksums: dict[str, str]
    """SHA-256 of the bytes of each array's rows in this shard."""

    @property
    def key(self) -> str:
        """Hash of the shard's clips in their order."""
        return digest([c.key for c in self.clips])


def clip_key(source_sha256: str, part: object, settings: PrepSettings) -> str:
    """Hash all that determines the arrays of one clip."""
    return digest(FORMAT_VERSION, settings.to_json(), source_sha256, part)


def _file(store: Path, shard: int) -> Path:
    return store / FOLDER / f"{shard:06d}.json"


def write(store: Path, record: ShardRecord) -> None:
    """Declare a shard done. Call it after its arrays are on disk, never before."""
    write_json(_file(store, record.shard), asdict(record))


def exists(store: Path, shard: int) -> bool:
    """Tell whether a shard is done."""
    return _file(store, shard).is_file()


def drop(store: Path, shard: int) -> None:
    """Declare a shard not done, before its arrays are written again."""
    _file(store, shard).unlink(missing_ok=True)


def read(store: Path, shard: int) -> ShardRecord | None:
    """Read a shard's record, None where the shard is not done.

    Raises:
        StoreError: If the file is there and is no such record.
    """
    path = _file(store, shard)
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        clips = tuple(ClipRecord(**c) for c in found.pop("clips"))
        return ShardRecord(clips=clips, **found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        msg = (
            f"ledger file {path}: not a shard record ({error}). Delete the file; "
            "the next run then does this shard again."
        )
        raise StoreError(msg) from error


def delete_records_from(store: Path, shards: int) -> None:
    """Forget the records of shards that a smaller corpus no longer has."""
    for path in (store / FOLDER).glob("*.json"):
        if path.stem.isdigit() and int(path.stem) >= shards:
            path.unlink()


@contextmanager
def write_lock(store: Path) -> Iterator[None]:
    """Hold the store for one writer; the hold ends with the process, however it ends.

    Raises:
        StoreError: If another process holds it, or the folder cannot be written.
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
        except ImportError:  # no such lock on Windows: nothing to hold
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"store {store}: another mmder-prep writes to it; wait for it"
            raise StoreError(msg) from error
        yield
