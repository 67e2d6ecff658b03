"""Other storage formats for clips, each written and read as its authors recommend.

All formats hold the same clips without compression: a few megabytes of frames and a few
kilobytes of spectrograms each. Formats without access to a single clip yield batches
only.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name: one row per clip, or the row of one clip."""
BATCH = 16
CHUNK_BYTES = 1 << 26
"""Size of one file; a typical value in the formats' documentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Opened clips on disk."""

    epoch: Callable[[Sequence[int]], Iterable[Any]]
    """Function that yields all clips in shuffled batches.

    The batches follow the given order if the format supports that.
    """
    read: Callable[[int], Any] | None = None
    """Function that returns one clip by its row."""
    close: Callable[[], object] = lambda: None
    """Function that unmaps files from memory; mapped pages cannot be dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageFormat:
    """A format that stores clips."""

    name: str
    write: Callable[[Path, Arrays], None]
    open: Callable[[Path], Reader]


def batches(
    order: Sequence[int], like: Arrays, fill: Callable[[int, Arrays], None]
) -> Iterator[Arrays]:
    """Yield batches whose clips are read one by one straight into the batch arrays."""
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = {k: np.empty((len(rows), *v.shape), v.dtype) for k, v in like.items()}
        for index, row in enumerate(rows):
            fill(row, {k: v[index] for k, v in batch.items()})
        yield batch


def _write_memmap(folder: Path, clips: Arrays) -> None:
    for name, values in clips.items():
        np.save(folder / f"{name}.npy", values)


def _open_memmap(folder: Path) -> Reader:
    mapped: dict[str, NDArray[Any]] = {}

    def arrays() -> Arrays:
        if not mapped:
            files = folder.glob("*.npy")
            mapped.update({f.stem: np.load(f, mmap_mode="r") for f in files})
        return mapped

    def epoch(order: Sequence[int]) -> Iterator[Arrays]:
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield {name: values[rows] for name, values in arrays().items()}

    def read(row: int) -> Arrays:
        return {name: np.array(values[row]) for name, values in arrays().items()}

    return Reader(epoch=epoch, read=read, close=mapped.clear)


def _write_npy(folder: Path, clips: Arrays) -> None:
    for name, values in clips.items():
        for row, value in enumerate(values):
            np.save(folder / f"{row:06d}-{name}.npy", value)


def _open_npy(folder: Path) -> Reader:
    names = {f.stem.partition("-")[2] for f in folder.glob("000000-*.npy")}

    def read(row: int) -> Arrays:
        return {name: np.load(folder / f"{row:06d}-{name}.npy") for name in names}

    def fill(row: int, out: Arrays) -> None:
        for name, value in read(row).items():
            out[name][:] = value

    like = read(0)
    return Reader(epoch=lambda order: batches(order, like, fill), read=read)


def _write_hdf5(folder: Path, clips: Arrays) -> None:
    import h5py

    with h5py.File(folder / "clips.h5", "w") as file:
        for name, values in clips.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]))


def _open_hdf5(folder: Path) -> Reader:
    import h5py

    file = h5py.File(folder / "clips.h5")
    sets = dict(file.items())

    def fill(row: int, out: Arrays) -> None:
        for name, values in sets.items():
            values.read_direct(out[name], np.s_[row])

    def read(row: int) -> Arrays:
        return {name: values[row] for name, values in sets.items()}

    like = read(0)
    return Reader(epoch=lambda order: batches(order, like, fill), read=read)


def _write_webdataset(folder: Path, clips: Arrays) -> None:
    import webdataset

    pattern = str(folder / "%06d.tar")
    with webdataset.ShardWriter(pattern, maxsize=CHUNK_BYTES, verbose=0) as writer:
        for row in range(len(next(iter(clips.values())))):
            arrays = {f"{name}.npy": values[row] for name, values in clips.items()}
            writer.write({"__key__": f"{row:06d}", **arrays})


def _open_webdataset(folder: Path) -> Reader:
    import webdataset

    shards = sorted(map(str, folder.glob("*.tar")))

    def epoch(order: Sequence[int]) -> Iterator[Arrays]:
        data = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=order[0])
        shuffled = data.shuffle(4 * BATCH).decode()
        for batch in shuffled.batched(BATCH, partial=True):
            yield {k.removesuffix(".npy"): v for k, v in batch.items() if "." in k}

    return Reader(epoch=epoch)


def _write_mosaic(folder: Path, clips: Arrays) -> None:
    from streaming import MDSWriter

    columns = {
        k: f"ndarray:{v.dtype}:{','.join(map(str, v.shape[1:]))}"
        for k, v in clips.items()
    }
    with MDSWriter(out=str(folder), columns=columns, size_limit=CHUNK_BYTES) as writer:
        for row in range(len(next(iter(clips.values())))):
            writer.write({name: values[row] for name, values in clips.items()})


def _open_mosaic(folder: Path) -> Reader:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    clean_stale_shared_memory()
    # Its arrays are read-only, about which torch warns.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    data = StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH)
    return Reader(
        epoch=lambda _: DataLoader(data, batch_size=BATCH),
        read=lambda row: {k: np.array(v) for k, v in data[row].items()},
    )


def _write_lit(folder: Path, clips: Arrays) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes=CHUNK_BYTES)
    for row in range(len(next(iter(clips.values())))):
        writer[row] = {name: values[row] for name, values in clips.items()}
    writer.done()
    writer.merge()
    assert "chunks" in json.loads((folder / "index.json").read_text())


def _open_lit(folder: Path) -> Reader:
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.item_loader import PyTreeLoader

    loader = PyTreeLoader()
    data = StreamingDataset(str(folder), shuffle=True, item_loader=loader)
    return Reader(
        epoch=lambda _: StreamingDataLoader(data, batch_size=BATCH),
        read=lambda row: {k: np.array(v) for k, v in data[row].items()},
        close=lambda: loader.close(0),
    )


QUICK = ("memmap", ".npy a clip", "HDF5")
"""Formats of a quick run: their libraries import fast."""
STORAGE_FORMATS = (
    StorageFormat(name="memmap", write=_write_memmap, open=_open_memmap),
    StorageFormat(name=".npy a clip", write=_write_npy, open=_open_npy),
    StorageFormat(name="HDF5", write=_write_hdf5, open=_open_hdf5),
    StorageFormat(name="WebDataset", write=_write_webdataset, open=_open_webdataset),
    StorageFormat(name="MosaicML", write=_write_mosaic, open=_open_mosaic),
    StorageFormat(name="LitData", write=_write_lit, open=_open_lit),
)
