"""Every Zarr call of the project: create, write a shard, seal, open, verify.

A store is one Zarr v3 group. One clip is one inner chunk of the heavy arrays,
one shard is `shard_clips` clips, and one call of `write_shard` writes one whole
shard of every array: two writers never meet in a file. Between `create` and
`seal` the store is open for writing and refuses readers; `seal` refuses while a
shard is missing.
"""

import hashlib
import itertools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.dtype import VariableLengthUTF8
from zarr.errors import ZarrUserWarning

from mmder_store import ledger
from mmder_store.atomic_files import ZARR_DRAFTS, remove_drafts
from mmder_store.errors import (
    SettingsError,
    StoreError,
    StoreIncompleteError,
    StoreVersionError,
)
from mmder_store.schema import (
    COLUMNS,
    FORMAT_VERSION,
    ArraySpec,
    arrays_of,
    shape_of,
)
from mmder_store.settings import digest
from mmder_store.shard_reader import Reader, create_reader
from mmder_store.store_spec import FORMAT_KEY, StoreSpec

CODECS = {"none": None, "zstd": ZstdCodec(level=-1)}
"""What arrays are written with; what they are read with stands in themselves."""


def _open_group(path: Path, mode: str) -> zarr.Group:
    """Open the group of a store of this format, sealed or not."""
    if not path.exists():
        msg = (
            f"store {path}: no such folder; make one with mmder-prep, or mind the path"
        )
        raise StoreError(msg)
    if not (path / "zarr.json").is_file():
        msg = f"store {path}: no zarr.json in it, so this is no store of mmder-prep"
        raise StoreError(msg)
    try:
        # Consolidated metadata are for xarray; after a change they would be stale.
        group = zarr.open_group(path, mode=mode, use_consolidated=False)  # type: ignore[arg-type]
        found = group.attrs.asdict().get(FORMAT_KEY)
    except Exception as error:
        msg = f"store {path}: its zarr.json cannot be read ({error})"
        raise StoreError(msg) from error
    if found is None:
        msg = f"store {path}: a Zarr group, yet not made by mmder-prep"
        raise StoreError(msg)
    if found != FORMAT_VERSION:
        newer = isinstance(found, int) and found > FORMAT_VERSION
        way = "update mmder" if newer else "prepare the corpus again"
        msg = (
            f"store {path}: format {found!r}, this mmder reads format "
            f"{FORMAT_VERSION}; {way}"
        )
        raise StoreVersionError(msg)
    return group


def is_store(path: Path) -> bool:
    """Tell whether a folder holds a store of any format, whole or not."""
    try:
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(attributes, dict) and FORMAT_KEY in attributes


def _read_spec(path: Path, group: zarr.Group) -> StoreSpec:
    try:
        return StoreSpec.from_json(group.attrs.asdict())
    except (KeyError, TypeError, AttributeError, SettingsError) as error:
        msg = f"store {path}: its attributes are damaged ({error!r})"
        raise StoreError(msg) from error


def _add_array(group: zarr.Group, spec: ArraySpec, store: StoreSpec) -> None:
    row = shape_of(spec, store.settings)
    shard = (store.shard_clips, *row)
    group.create_array(
        spec.name,
        shape=(store.clips, *row),
        dtype=spec.dtype,
        chunks=(1, *row) if spec.heavy else shard,
        shards=shard if spec.heavy else None,
        compressors=CODECS[spec.codec],
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        dimension_names=spec.dims,
        attributes={"units": spec.unit, "long_name": spec.meaning},
    )


def create(path: Path, spec: StoreSpec) -> None:
    """Make the store, or open it again for writing; arrays that fit are kept.

    The seal, if any, is taken off first: readers never see a store in change.

    Raises:
        StoreError: If the folder holds something else, or a store made with other
            settings, which this call would destroy.
    """
    if path.exists() and not _is_blank(path):
        _check_reusable(path, spec)
        remove_drafts(path / ledger.FOLDER)
        for folder in (path, *(path / a.name for a in arrays_of(spec.settings))):
            remove_drafts(folder, ZARR_DRAFTS)
        group = _open_group(path, "r+")
        old = _read_spec(path, group)
        group.update_attributes({"sealed": None})
        for column in COLUMNS:
            if column.name in group:
                del group[column.name]
        for array in arrays_of(spec.settings):
            if array.name in group and old.clips != spec.clips:
                row = shape_of(array, spec.settings)
                _array(group, array.name).resize((spec.clips, *row))
            elif array.name not in group:
                _add_array(group, array, spec)
        ledger.delete_records_from(path, spec.shards)
        last = (min(old.clips, spec.clips) - 1) // spec.shard_clips
        if old.rows(last) != spec.rows(last):
            ledger.drop(path, last)
        group.update_attributes({**spec.to_json(), "sealed": None})
        return
    (path / ledger.FOLDER).mkdir(parents=True, exist_ok=True)
    ledger.delete_records_from(path, 0)
    remove_drafts(path, ZARR_DRAFTS)
    group = zarr.create_group(path, zarr_format=3)
    for array in arrays_of(spec.settings):
        _add_array(group, array, spec)
    group.update_attributes({**spec.to_json(), "sealed": None})


def _is_blank(path: Path) -> bool:
    """Tell whether a folder holds nothing but the ledger's lock and Zarr's drafts."""
    return path.is_dir() and all(
        p.name == ledger.FOLDER or p.match(ZARR_DRAFTS) for p in path.iterdir()
    )


def _check_reusable(path: Path, spec: StoreSpec) -> None:
    """Refuse a folder that holds anything but an earlier run of the same settings."""
    way = "Choose another --out, or say --overwrite to start anew."
    try:
        old = _read_spec(path, _open_group(path, "r"))
    except StoreError as error:
        msg = f"{error}. {way}"
        raise type(error)(msg) from error
    if old.settings != spec.settings:
        change = old.settings.describe_change(spec.settings)
        msg = f"store {path}: made with other settings ({change}). {way}"
        raise StoreError(msg)
    for what in ("corpus", "shard_clips"):
        found, asked = getattr(old, what), getattr(spec, what)
        if found != asked:
            msg = f"store {path}: {what} {found!r}, asked for {asked!r}. {way}"
            raise StoreError(msg)


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    found = group[name]
    if not isinstance(found, zarr.Array):
        msg = f"store: {name!r} is a group, expected an array"
        raise StoreError(msg)
    return found


def write_shard(
    path: Path, shard: int, blocks: Mapping[str, NDArray[Any]]
) -> dict[str, str]:
    """Write one whole shard of every array, and give the checksum of each.

    Raises:
        ValueError: If the blocks are not exactly the rows of this shard.
        StoreError: If the disk refuses.
    """
    group = _open_group(path, "r+")
    spec = _read_spec(path, group)
    rows = spec.rows(shard)
    want = {a.name: a for a in arrays_of(spec.settings)}
    if set(blocks) != set(want):
        msg = f"shard {shard}: arrays {sorted(blocks)}, expected {sorted(want)}"
        raise ValueError(msg)
    for name, block in blocks.items():
        shape = (rows.stop - rows.start, *shape_of(want[name], spec.settings))
        if block.shape != shape or block.dtype != want[name].dtype:
            msg = (
                f"shard {shard}, {name}: {block.dtype} {block.shape}, "
                f"expected {want[name].dtype} {shape}"
            )
            raise ValueError(msg)
    try:
        for name, block in blocks.items():
            remove_drafts(path / name / "c" / str(shard), f"**/{ZARR_DRAFTS}")
            # One chunk at a time: all at once would hold every chunk twice over. Zarr
            # compares each with an empty one, which takes longer than writing it.
            options = {
                "async.concurrency": 1,
                "threading.max_workers": 1,
                "array.write_empty_chunks": _surely_full(block),
            }
            with zarr.config.set(options):
                _array(group, name)[rows] = block
    except OSError as error:
        msg = f"store {path}: shard {shard} cannot be written ({error.strerror})"
        raise StoreError(msg) from error
    return {name: _checksum(block) for name, block in blocks.items()}


def _surely_full(block: NDArray[Any]) -> bool:
    """Tell whether no row is empty, from a few places of each."""
    few = block.reshape(len(block), -1)[:, ::997]
    return bool((np.isfinite(few) & (few != 0)).any(axis=1).all())


def _checksum(block: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(block).data).hexdigest()


def seal(
    path: Path, rows: Sequence[Mapping[str, str]], versions: Mapping[str, str]
) -> str:
    """Write the columns and declare the store whole; give its hash.

    Args:
        path: The store.
        rows: What the manifest says of every clip, by column, in their order:
            ``clip_id``, ``speaker``, ``emotion`` and what more it knows.
        versions: What made the store, by package.

    Raises:
        StoreIncompleteError: If a shard is missing, with the list.
    """
    group = _open_group(path, "r+")
    spec = _read_spec(path, group)
    records = [ledger.read(path, shard) for shard in range(spec.shards)]
    missing = [shard for shard, record in enumerate(records) if record is None]
    if missing:
        raise StoreIncompleteError(_missing_text(path, missing, spec.shards))
    done = [record for record in records if record is not None]
    clips = [clip for record in done for clip in record.clips]
    if [c.clip_id for c in clips] != [row["clip_id"] for row in rows]:
        msg = f"store {path}: the ledger lists other clips than the manifest; run again"
        raise StoreIncompleteError(msg)
    for column in COLUMNS:
        if column.dtype == "str":
            texts = [
                row.get(column.name, getattr(clip, column.name, ""))
                for row, clip in zip(rows, clips, strict=True)
            ]
            _add_column(group, column, np.array(texts, dtype=object))
        else:
            none = np.nan if column.dtype.startswith("float") else -1
            numbers = [clip.facts.get(column.name, none) for clip in clips]
            _add_column(group, column, np.array(numbers, dtype=column.dtype))
    sha256 = digest(spec.to_json(), [record.key for record in done], list(rows))
    group.update_attributes({"sealed": {"sha256": sha256, "versions": dict(versions)}})
    with warnings.catch_warnings():
        # The ledger's folder is ours and no Zarr node; consolidated metadata is
        # young in v3, yet xarray opens a store with it without a walk of the disk.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)
    return sha256


def _add_column(group: zarr.Group, column: ArraySpec, values: NDArray[Any]) -> None:
    dtype: Any = VariableLengthUTF8() if column.dtype == "str" else column.dtype
    array = group.create_array(
        column.name,
        shape=values.shape,
        dtype=dtype,
        chunks=(max(1, len(values)),),
        dimension_names=column.dims,
        attributes={"units": column.unit, "long_name": column.meaning},
        overwrite=True,
    )
    array[:] = values


def _missing_text(path: Path, missing: Sequence[int], total: int) -> str:
    shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
    return (
        f"store {path}: {len(missing)} of {total} shards are not written ({shown}). "
        "Run the same mmder-prep command again: it goes on where it stopped."
    )


class Store:
    """A sealed store, read only. Pickles as its path: every process opens its own."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            StoreError: If there is no store, or one of another format.
            StoreIncompleteError: If it is not sealed.
        """
        self.path = path
        self._group = _open_group(path, "r")
        self.spec = _read_spec(path, self._group)
        sealed = self._group.attrs.asdict().get("sealed")
        if not isinstance(sealed, Mapping):
            shards = range(self.spec.shards)
            missing = [s for s in shards if ledger.read(path, s) is None]
            msg = (
                _missing_text(path, missing, self.spec.shards)
                if missing
                else f"store {path}: not sealed. Run the same mmder-prep command again."
            )
            raise StoreIncompleteError(msg)
        self.sha256 = str(sealed["sha256"])
        self.versions: Any = sealed["versions"]
        self._readers: dict[str, Reader] = {}

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        """Travel as a path."""
        return Store, (self.path,)

    def __len__(self) -> int:
        """Count the clips."""
        return self.spec.clips

    def __contains__(self, name: str) -> bool:
        """Tell whether the store has an array or column of this name."""
        return name in self._group

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Every column, one value a clip; texts as objects."""
        found = {c.name: np.asarray(_array(self._group, c.name)[:]) for c in COLUMNS}
        texts = {c.name for c in COLUMNS if c.dtype == "str"}
        return {k: v.astype(object) if k in texts else v for k, v in found.items()}

    def read(self, name: str, row: int) -> NDArray[Any]:
        """Read one clip of one array: one chunk, nothing around it.

        Raises:
            StoreError: If the store has no such array, or the chunk is damaged.
        """
        found: NDArray[Any] = self.read_batch(name, [row])[0]
        return found

    def read_batch(
        self, name: str, rows: Sequence[int], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Read some clips of one array, in any order, each shard opened once.

        Args:
            name: The array.
            rows: The clips.
            out: Contiguous memory to read into, if there is some; else it is made.

        Raises:
            StoreError: If the store has no such array, or a chunk is damaged.
        """
        reader = self._reader(name)
        if out is None:
            out = np.empty((len(rows), *reader.row_shape), reader.dtype)
        try:
            reader.read(rows, out)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            which = ", ".join(map(str, rows))
            msg = f"store {self.path}: {name}[{which}] cannot be read ({error})"
            raise StoreError(msg) from error
        return out

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of one clip of an array."""
        return self._reader(name).row_shape

    def _reader(self, name: str) -> Reader:
        if name not in self._readers:
            if name not in self:
                msg = f"store {self.path}: has no {name!r}"
                raise StoreError(msg)
            self._readers[name] = create_reader(_array(self._group, name))
        return self._readers[name]

    def content(self, names: Sequence[str]) -> str:
        """Hash what the ledger says of the bytes of some arrays."""
        records = [ledger.read(self.path, s) for s in range(self.spec.shards)]
        return digest([r and [r.checksums.get(n) for n in names] for r in records])

    def problems(self) -> Iterator[str]:
        """Read every shard and compare it with the ledger; yield what is wrong."""
        arrays = arrays_of(self.spec.settings)
        for shard in range(self.spec.shards):
            record = ledger.read(self.path, shard)
            if record is None:
                yield f"shard {shard}: no ledger file"
                continue
            ids = list(self.columns["clip_id"][self.spec.rows(shard)])
            if [c.clip_id for c in record.clips] != ids:
                yield f"shard {shard}: ledger and column clip_id differ"
            for array in arrays:
                try:
                    block = np.asarray(
                        _array(self._group, array.name)[self.spec.rows(shard)]
                    )
                except Exception as error:  # any codec may fail in its own way
                    yield f"shard {shard}, {array.name}: cannot be read ({error})"
                    continue
                if _checksum(block) != record.checksums.get(array.name):
                    yield f"shard {shard}, {array.name}: bytes differ from the ledger"

    def size_bytes(self) -> dict[str, int]:
        """Give the bytes on disk of every array and column."""
        names = itertools.chain(arrays_of(self.spec.settings), COLUMNS)
        return {
            a.name: sum(
                f.stat().st_size for f in (self.path / a.name).rglob("*") if f.is_file()
            )
            for a in names
        }
