"""Files and folders on disk to tensors, whatever they are called in there."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mmder_store.errors import WeightsError
from mmder_train.weights import keras, native, torch_pickle
from mmder_train.weights.types import RawCheckpoint

INDEX = ".index.json"
WHOLE = (
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
)
"""What Hugging Face calls a model, the safer first."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".h5")
JSON_BYTES = 16 << 20
"""No index or description is larger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReader:
    """One kind of file."""

    recognises: Callable[[bytes], bool]
    """Looks at the first bytes."""
    read: Callable[[Path], RawCheckpoint]


def read_checkpoint(path: Path) -> RawCheckpoint:
    """Read a file, a folder, or the index of a model in parts.

    Raises:
        WeightsError: If there is none, or it is damaged, or of no known kind.
    """
    if path.is_dir():
        return read_checkpoint(_in(path))
    if not path.is_file():
        msg = f"weights {path}: no such file"
        raise WeightsError(msg)
    if path.name.endswith(INDEX):
        return _parts(path)
    with path.open("rb") as file:
        head = file.read(64)
    for kind in FILE_READERS:
        if kind.recognises(head):
            return kind.read(path)
    msg = (
        f"weights {path}: {_guess(head)}; expected safetensors, a file of torch.save "
        "or weights of Keras in HDF5"
    )
    raise WeightsError(msg)


def sha256(paths: Sequence[Path]) -> str:
    """Hash a file, or the list of the hashes of several."""
    hashes = []
    for path in paths:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        WeightsError: If it is none.
    """
    try:
        if path.stat().st_size > JSON_BYTES:
            msg = "too large"
            raise ValueError(msg)
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            msg = f"a {type(found).__name__}"
            raise ValueError(msg)
    except (ValueError, RecursionError) as error:
        msg = f"weights {path}: no JSON object ({error}). Get it again."
        raise WeightsError(msg) from error
    return found


def _in(folder: Path) -> Path:
    """Find the one model in a folder."""
    for name in WHOLE:
        if (folder / name).is_file():
            return folder / name
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    held = ", ".join(p.name for p in found) or "none of these"
    msg = (
        f"weights {folder}: a folder with {held}; expected one of {', '.join(WHOLE)}, "
        "or name the file itself"
    )
    raise WeightsError(msg)


def _parts(index: Path) -> RawCheckpoint:
    """Read a model in parts; all of them lie beside their index."""
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        msg = f"weights {index}: no weight_map inside"
        raise WeightsError(msg)
    names = sorted({str(name) for name in where.values()})
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            msg = f"weights {index}: names {name!r}, which does not lie beside it"
            raise WeightsError(msg)
    parts = [read_checkpoint(index.parent / name) for name in names]
    tensors = {k: v for part in parts for k, v in part.tensors.items()}
    lost = sorted(where.keys() - tensors.keys())
    if lost:
        msg = (
            f"weights {index}: {len(lost)} tensors that no part holds, the first "
            f"{lost[0]!r}. Get the parts again."
        )
        raise WeightsError(msg)
    return RawCheckpoint(
        tensors=tensors,
        paths=tuple(index.parent / name for name in names),
        dropped={k: v for part in parts for k, v in part.dropped.items()},
    )


def _safetensors(path: Path) -> RawCheckpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        msg = f"weights {path}: damaged or truncated ({error}); copy it again"
        raise WeightsError(msg) from error
    if native.METADATA not in metadata:
        return RawCheckpoint(tensors=tensors, paths=(path,))
    about, facts = native.read_metadata(path, metadata[native.METADATA])
    return RawCheckpoint(
        tensors=tensors,
        paths=(path,),
        format=native.METADATA,
        facts=facts,
        metadata=about,
    )


FILE_READERS = (
    FileReader(recognises=lambda head: head[8:9] == b"{", read=_safetensors),
    FileReader(
        recognises=lambda head: head[:4] == b"PK\x03\x04", read=torch_pickle.read
    ),
    FileReader(recognises=lambda head: head[:1] == b"\x80", read=torch_pickle.read),
    FileReader(recognises=lambda head: head[:4] == b"\x89HDF", read=keras.read),
)


def _guess(head: bytes) -> str:
    known = {
        b"version https": "a git-lfs pointer, not the file itself (run git lfs pull)",
        b"<": "a web page, not the file itself",
        b"": "of an unknown kind" if head else "empty",
    }
    return next(what for magic, what in known.items() if head.startswith(magic))
