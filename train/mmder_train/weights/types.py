"""What a weights file holds: as it stands there, and once it is understood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mmder_train.models.videomae import PoolingConfig

DECODER = "decoder of the pre-training"
"""Why its tensors are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """What a source says of its encoder beside tensors; None where it is silent."""

    side_px: int | None = None
    """Side of the pictures that it was trained on."""
    frames: int | None = None
    heads: int | None = None
    """Heads of each attention; tensors do not show them."""
    norm_eps: float | None = None
    pool: Literal["mean", "region"] | None = None
    pos_embed: bool | None = None
    image_norm: str | None = None
    """A name of `fusion.STATISTICS`."""
    unnamed_image_norm: str = ""
    """Mean and spread of its pictures where they are none of those."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawCheckpoint:
    """Tensors under the names that a file gives them."""

    tensors: dict[str, Tensor]
    paths: tuple[Path, ...]
    """All files that were read."""
    format: str = ""
    """Name of the format, where the kind of file tells it."""
    facts: SourceInfo = field(default_factory=SourceInfo)
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Why what was not read."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the project's own format says of itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Tensors of a source under the official names, and what is known of it."""

    name: str
    """What the user called it, without the folder."""
    format: str
    """Name of a row of `formats.FORMATS`."""
    sha256: str
    """Hash of the file, or of the list of hashes where there are more."""
    encoder: str
    """Name of the encoder that it fits best, empty where it is like none."""
    tensors: dict[str, Tensor]
    dropped: Mapping[str, str]
    """Why each of the file's other tensors was not taken, by its name there."""
    readout: PoolingConfig
    """How its authors read it out."""
    image_norm: str
    """What pictures it expects, a name of `fusion.STATISTICS`."""
    facts: SourceInfo
    metadata: dict[str, Any]
    """What the project's own format says of itself."""
