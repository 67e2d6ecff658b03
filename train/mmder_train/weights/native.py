"""The project's own weights: safetensors with the official VideoMAE's names.

One metadata entry, ``mmder``, says what it holds.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from mmder_store.errors import WeightsError
from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.models.videomae import Head
from mmder_train.weights.types import SourceInfo

FORMAT_VERSION = 2
METADATA = "mmder"
POOLING_KEYS: dict[str, Callable[[Any], bool]] = {
    "norm_eps": lambda value: isinstance(value, float) and 0 < value < 1,
    "pool": lambda value: value in ("mean", "region"),
    "pos_embed": lambda value: isinstance(value, bool),
    "image_norm": lambda value: isinstance(value, str) and value in IMAGE_NORMS,
}
"""What of a run's settings belongs to its weights, and what it can be."""


def to_state_dict(encoder: nn.Module, head: Head) -> dict[str, Tensor]:
    """Give all tensors of an encoder and its head under the official names."""
    both = {**encoder.state_dict(), **head.state_dict()}
    return {name: tensor.cpu().contiguous() for name, tensor in both.items()}


def save_weights(
    path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
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


def read_metadata(path: Path, text: str) -> tuple[dict[str, Any], SourceInfo]:
    """Read what such a file says of itself, and of how it is read out.

    Raises:
        WeightsError: If it is of another version, or damaged.
    """
    try:
        about = json.loads(text)
        version, config = about.get("format"), about.get("config") or {}
        if version != FORMAT_VERSION:
            msg = (
                f"weights {path}: {METADATA} format {version!r}, expected "
                f"{FORMAT_VERSION}. Another version of mmder wrote it."
            )
            raise WeightsError(msg)
        read_out: dict[str, Any] = {name: config.get(name) for name in POOLING_KEYS}
        odd = [
            n for n, v in read_out.items() if v is not None and not POOLING_KEYS[n](v)
        ]
    except (json.JSONDecodeError, AttributeError, RecursionError) as error:
        msg = (
            f"weights {path}: its {METADATA} entry is damaged ({error}); copy it again"
        )
        raise WeightsError(msg) from error
    if odd:
        msg = f"weights {path}: {odd[0]} is {read_out[odd[0]]!r}; copy it again"
        raise WeightsError(msg)
    return about, SourceInfo(**read_out)
