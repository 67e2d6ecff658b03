"""A frozen encoder that is saved once per run, next to the heads of its folds.

The file of a head names the file of its encoder, in the same folder, and its SHA-256.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmder_store.errors import WeightsError
from mmder_train.weights.types import RawCheckpoint

METADATA = "encoder_file"
"""Entry of a head's metadata that names the file of its encoder."""
OpenedEncoders = dict[tuple[Path, str], RawCheckpoint]
"""Contents of encoders by the path and the checked SHA-256 of their file."""


def refer_to(path: Path, sha256: str) -> dict[str, Any]:
    """Return the metadata entry of heads that use the encoder in a file."""
    return {METADATA: {"name": path.name, "sha256": sha256}}


def add_encoder(
    head: RawCheckpoint,
    read: Callable[[Path], RawCheckpoint],
    hash_file: Callable[[Path], str],
    opened: OpenedEncoders,
) -> RawCheckpoint:
    """Return the contents of a head's file and of the encoder's file that it names.

    Args:
        head: Contents of the file of a head.
        read: Function that reads a safetensors file.
        hash_file: Function that returns the SHA-256 of a file.
        opened: Encoders that are already read. One that is read here is added.

    Raises:
        WeightsError: If the encoder's file is missing, was changed, or is in another
            folder.
    """
    path = head.paths[0]
    name, sha256 = _reference(path, head.metadata[METADATA])
    file = path.parent / name
    if (file, sha256) not in opened:
        if not file.is_file():
            msg = (
                f"weights {path}: contains a head only. Its encoder, {name}, is not in "
                "the same folder; copy it there, or train again with --save-weights."
            )
            raise WeightsError(msg)
        if hash_file(file) != sha256:
            msg = (
                f"weights {path}: its encoder, {name}, was changed since. Restore the "
                "file, or delete the folder and train again with --save-weights."
            )
            raise WeightsError(msg)
        opened[file, sha256] = read(file)
    encoder = opened[file, sha256]
    return replace(
        head,
        tensors={**encoder.tensors, **head.tensors},
        paths=(*head.paths, file),
    )


def _reference(path: Path, entry: object) -> tuple[str, str]:
    """Return the name and the hash in a metadata entry, which may be damaged."""
    values: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    name, sha256 = values.get("name"), values.get("sha256")
    named = isinstance(name, str) and name not in ("", ".", "..")
    if not named or Path(str(name)).name != name or not isinstance(sha256, str):
        msg = (
            f"weights {path}: names its encoder as {entry!r}; expected a file in the "
            "same folder. Copy it again."
        )
        raise WeightsError(msg)
    return str(name), sha256
