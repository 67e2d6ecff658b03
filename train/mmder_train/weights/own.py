"""The project's own weights: safetensors with the official VideoMAE's names.

One metadata entry, ``mmder``, says what it holds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from mmder_store.errors import WeightsError
from mmder_train.videomae import Head

FORMAT_VERSION = 1
METADATA = "mmder"


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
