"""Weights on disk. Loading never runs code from a file.

The project's own format is safetensors with the official VideoMAE's names
(``patch_embed.proj.weight``, ``blocks.0.attn.q_bias``, ``fc_norm.weight``,
``head.weight``) and one metadata entry, ``mmder``, that says what it holds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmder_store.errors import WeightsError
from mmder_train.videomae import Encoder, Head

FORMAT_VERSION = 1
METADATA = "mmder"
HEAD = ("fc_norm.", "head.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Tensors of a file under the official names, and what it says of itself."""

    name: str
    """Name of the file."""
    sha256: str
    tensors: dict[str, Tensor]
    about: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One kind of file."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], tuple[dict[str, Tensor], dict[str, Any]]]
    """Gives tensors under the official names, and what the file says of itself."""


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{"


def _read_own(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        msg = f"weights {path}: damaged or truncated ({error}); copy it again"
        raise WeightsError(msg) from error
    about = json.loads(text) if text else {}
    if about.get("format") != FORMAT_VERSION:
        msg = (
            f"weights {path}: safetensors of format {about.get('format')!r} here, "
            f"expected {METADATA} format {FORMAT_VERSION}, as --save-weights writes it"
        )
        raise WeightsError(msg)
    return tensors, about


FORMATS = (Format(name="mmder", recognises=_is_safetensors, read=_read_own),)


def load(path: Path) -> Weights:
    """Read a weights file of any known format.

    Raises:
        WeightsError: If there is none, or it is damaged, or of no known format.
    """
    if not path.is_file():
        msg = f"weights {path}: no such file"
        raise WeightsError(msg)
    for one in FORMATS:
        if one.recognises(path):
            tensors, about = one.read(path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Weights(name=path.name, sha256=sha256, tensors=tensors, about=about)
    msg = (
        f"weights {path}: {_guess(path)}; expected a safetensors file that "
        "mmder-train --save-weights wrote"
    )
    raise WeightsError(msg)


def _guess(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    known = {
        b"PK\x03\x04": "a PyTorch pickle or another zip file",
        b"\x80": "a pickle, which can run code",
        b"\x89HDF": "an HDF5 file",
        b"version https": "a git-lfs pointer, not the file itself (run git lfs pull)",
        b"": "empty" if not head else "of an unknown format",
    }
    return next(what for magic, what in known.items() if head.startswith(magic))


def fill(encoder: Encoder, weights: Weights) -> None:
    """Put a file's tensors into an encoder, all or none.

    A head in the file is passed over: every fold trains its own.

    Raises:
        WeightsError: If a tensor is missing, unknown or of another shape.
    """
    found = {k: v for k, v in weights.tensors.items() if not k.startswith(HEAD)}
    want = encoder.state_dict()
    size = weights.about.get("encoder")
    way = f"Say --encoder {size}." if size else "Choose the --encoder it was made for."
    for name in want:
        if name not in found:
            msg = f"weights {weights.name}: no tensor {name!r}. {way}"
            raise WeightsError(msg)
        if found[name].shape != want[name].shape:
            msg = (
                f"weights {weights.name}: tensor {name!r} is "
                f"{tuple(found[name].shape)}, expected {tuple(want[name].shape)}. {way}"
            )
            raise WeightsError(msg)
        if not found[name].is_floating_point():
            msg = f"weights {weights.name}: tensor {name!r} is {found[name].dtype}"
            raise WeightsError(msg)
    odd = sorted(found.keys() - want.keys())
    if odd:
        msg = (
            f"weights {weights.name}: {len(odd)} tensors that this encoder has no "
            f"place for, the first {odd[0]!r}. {way}"
        )
        raise WeightsError(msg)
    encoder.load_state_dict(found)


def flat(encoder: nn.Module, head: Head) -> dict[str, Tensor]:
    """Give all tensors of an encoder and its head under the official names."""
    both = {**encoder.state_dict(), **head.state_dict()}
    return {name: tensor.cpu().contiguous() for name, tensor in both.items()}


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write the project's own format; the caller renames it into place.

    Raises:
        WeightsError: If the disk refuses.
    """
    text = json.dumps({"format": FORMAT_VERSION, **about}, sort_keys=True)
    try:
        save_file(dict(tensors), path, metadata={METADATA: text})
    except SafetensorError as error:
        msg = f"weights {path}: cannot be written ({error})"
        raise WeightsError(msg) from error
