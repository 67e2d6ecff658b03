"""mmder's own weights format: safetensors with the names of the official VideoMAE.

One metadata entry, ``mmder``, describes the contents.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from mmder_store.errors import WeightsError
from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.models.videomae import Head
from mmder_train.runtime.tensor_files import save_tensors
from mmder_train.weights.types import SourceInfo

FORMAT_VERSION = 2
METADATA = "mmder"
POOLING_KEYS: dict[str, Callable[[Any], bool]] = {
    "norm_eps": lambda value: isinstance(value, float) and 0 < value < 1,
    "pool": lambda value: value in ("mean", "region"),
    "pos_embed": lambda value: isinstance(value, bool),
    "image_norm": lambda value: isinstance(value, str) and value in IMAGE_NORMS,
}
"""Settings of a run that its weights depend on, and a check of each value."""


def to_state_dict(encoder: nn.Module | None, head: Head | None) -> dict[str, Tensor]:
    """Return all tensors of an encoder, its head or both under the official names."""
    modules = [module for module in (encoder, head) if module is not None]
    return {
        name: tensor.cpu().contiguous()
        for module in modules
        for name, tensor in module.state_dict().items()
    }


def save_weights(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write weights in mmder's own format.

    The write is not atomic: the caller writes to a draft and renames it.

    Args:
        path: File to write.
        tensors: Tensors by their official name.
        metadata: Description of the weights, as JSON values.

    Raises:
        WeightsError: If the tensors cannot be written in this format.
        OSError: If the file cannot be written, for example because the disk is full.
    """
    text = json.dumps({"format": FORMAT_VERSION, **metadata}, sort_keys=True)
    try:
        save_tensors(path, tensors, {METADATA: text})
    except SafetensorError as error:
        msg = f"weights {path}: cannot be written ({error})"
        raise WeightsError(msg) from error


def read_metadata(path: Path, text: str) -> tuple[dict[str, Any], SourceInfo]:
    """Parse the metadata entry of mmder's own format.

    Args:
        path: File of the weights, for messages.
        text: The entry as JSON.

    Returns:
        The metadata, and the facts about the encoder in it.

    Raises:
        WeightsError: If the entry is of another version, or damaged.
    """
    try:
        metadata = json.loads(text)
        version, config = metadata.get("format"), metadata.get("config") or {}
        if version != FORMAT_VERSION:
            msg = (
                f"weights {path}: {METADATA} format {version!r}, expected "
                f"{FORMAT_VERSION}. Another version of mmder wrote it."
            )
            raise WeightsError(msg)
        settings: dict[str, Any] = {name: config.get(name) for name in POOLING_KEYS}
        invalid = [
            name
            for name, value in settings.items()
            if value is not None and not POOLING_KEYS[name](value)
        ]
    except (json.JSONDecodeError, AttributeError, RecursionError) as error:
        msg = (
            f"weights {path}: its {METADATA} entry is damaged ({error}); copy it again"
        )
        raise WeightsError(msg) from error
    if invalid:
        name = invalid[0]
        msg = f"weights {path}: {name} is {settings[name]!r}; copy it again"
        raise WeightsError(msg)
    return metadata, SourceInfo(**settings)
