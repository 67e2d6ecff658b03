"""Read tensors from files and folders on disk, under the names used there."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mmder_store.errors import WeightsError
from mmder_train.weights import keras, native, shared_encoder, torch_pickle
from mmder_train.weights.completeness import partial_advice
from mmder_train.weights.types import RawCheckpoint

INDEX = ".index.json"
MODEL_FILES = (
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
)
"""File names of a Hugging Face model, the safer ones first."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".h5")
JSON_BYTES = 16 << 20
"""Maximum size of an index or a configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReader:
    """Reader of one type of file."""

    recognizes: Callable[[bytes], bool]
    """Return whether the first bytes of a file are of this type."""
    read: Callable[[Path], RawCheckpoint]
    """Read the whole file."""


def read_checkpoint(
    path: Path, encoders: shared_encoder.OpenedEncoders | None = None
) -> RawCheckpoint:
    """Read a file, a folder, or a sharded model by its index.

    Args:
        path: File or folder. With the head of a linear probe, its encoder is read too.
        encoders: Encoders that are already read. One that is read is added, so that
            the heads of a run share its tensors.

    Raises:
        WeightsError: If there is no such file, or if it is damaged or of an unknown
            type.
    """
    if path.is_dir():
        return read_checkpoint(_model_file(path), encoders)
    if not path.is_file():
        msg = f"weights {path}: no such file"
        raise WeightsError(msg)
    if path.name.endswith(INDEX):
        return _read_shards(path)
    with path.open("rb") as file:
        head = file.read(64)
    for reader in FILE_READERS:
        if reader.recognizes(head):
            checkpoint = reader.read(path)
            if shared_encoder.METADATA not in checkpoint.metadata:
                return checkpoint
            return shared_encoder.add_encoder(
                checkpoint,
                _read_safetensors,
                lambda file: sha256([file]),
                {} if encoders is None else encoders,
            )
    msg = (
        f"weights {path}: {_describe(head)}; expected safetensors, a torch.save file "
        "or Keras weights in HDF5"
    )
    raise WeightsError(msg)


def names_encoder(path: Path) -> bool:
    """Return whether a safetensors file is a head that names the file of its encoder.

    Raises:
        WeightsError: If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(native.METADATA)
    except (SafetensorError, OSError) as error:
        msg = f"weights {path}: damaged or truncated ({error}); delete it"
        raise WeightsError(msg) from error
    if text is None:
        return False
    return shared_encoder.METADATA in native.read_metadata(path, text)[0]


def sha256(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the list of hashes of several files."""
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
        WeightsError: If the file is not a JSON object.
    """
    try:
        if path.stat().st_size > JSON_BYTES:
            msg = "too large"
            raise ValueError(msg)
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            msg = f"a {type(content).__name__}"
            raise ValueError(msg)
    except (ValueError, RecursionError) as error:
        msg = f"weights {path}: not a JSON object ({error}). Download it again."
        raise WeightsError(msg) from error
    return content


def _model_file(folder: Path) -> Path:
    """Return the only model file in a folder."""
    for name in MODEL_FILES:
        if (folder / name).is_file():
            return folder / name
    candidates = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES)
    advice = partial_advice(folder.iterdir())
    if advice:
        msg = f"weights {folder}: a folder with a part of a model. {advice}."
        raise WeightsError(msg)
    if len(candidates) == 1:
        return candidates[0]
    names = ", ".join(p.name for p in candidates) or "none of these"
    msg = (
        f"weights {folder}: a folder with {names}; expected one of "
        f"{', '.join(MODEL_FILES)}, or pass the file itself"
    )
    raise WeightsError(msg)


def _read_shards(index: Path) -> RawCheckpoint:
    """Read a sharded model. All shards are in the folder of their index."""
    shard_of = read_json(index).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of:
        msg = f"weights {index}: no weight_map inside"
        raise WeightsError(msg)
    names = sorted({str(name) for name in shard_of.values()})
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            msg = f"weights {index}: names {name!r}, which is not in its folder"
            raise WeightsError(msg)
    shards = [read_checkpoint(index.parent / name) for name in names]
    tensors = {k: v for shard in shards for k, v in shard.tensors.items()}
    missing = sorted(shard_of.keys() - tensors.keys())
    if missing:
        msg = (
            f"weights {index}: {len(missing)} tensors that no shard contains, the "
            f"first {missing[0]!r}. Download the shards again."
        )
        raise WeightsError(msg)
    return RawCheckpoint(
        tensors=tensors,
        paths=tuple(index.parent / name for name in names),
        dropped={k: v for shard in shards for k, v in shard.dropped.items()},
    )


def _read_safetensors(path: Path) -> RawCheckpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        msg = f"weights {path}: damaged or truncated ({error}); copy it again"
        raise WeightsError(msg) from error
    if native.METADATA not in metadata:
        return RawCheckpoint(tensors=tensors, paths=(path,))
    own_metadata, info = native.read_metadata(path, metadata[native.METADATA])
    return RawCheckpoint(
        tensors=tensors,
        paths=(path,),
        format=native.METADATA,
        source_info=info,
        metadata=own_metadata,
    )


FILE_READERS = (
    FileReader(recognizes=lambda head: head[8:9] == b"{", read=_read_safetensors),
    FileReader(
        recognizes=lambda head: head[:4] == b"PK\x03\x04", read=torch_pickle.read
    ),
    FileReader(recognizes=lambda head: head[:1] == b"\x80", read=torch_pickle.read),
    FileReader(recognizes=lambda head: head[:4] == b"\x89HDF", read=keras.read),
)


def _describe(head: bytes) -> str:
    """Describe a file of an unknown type by its first bytes."""
    descriptions = {
        b"version https": "a git-lfs pointer, not the file itself (run git lfs pull)",
        b"<": "a web page, not the file itself",
        b"": "of an unknown type" if head else "empty",
    }
    return next(text for magic, text in descriptions.items() if head.startswith(magic))
