"""Contents of a weights file: as stored, and under the official names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mmder_train.models.videomae import PoolingConfig

DECODER = "decoder of the pre-training"
"""Reason for excluding tensors of the decoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """Facts about the encoder that a source states; None if it does not state one."""

    side_px: int | None = None
    """Height and width of the images that it was trained on."""
    frames: int | None = None
    """Number of frames per clip that it was trained on."""
    heads: int | None = None
    """Number of attention heads per block. The tensors do not show it."""
    norm_eps: float | None = None
    """LayerNorm epsilon."""
    pool: Literal["mean", "region"] | None = None
    """Tokens that are averaged before the head."""
    pos_embed: bool | None = None
    """True if the fixed sine-cosine positions are added."""
    image_norm: str | None = None
    """Image normalization, a key of `fusion.rendering.IMAGE_NORMS`."""
    unnamed_image_norm: str = ""
    """Image mean and std as text, if they are not in `IMAGE_NORMS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawCheckpoint:
    """Tensors under the names used in a file."""

    tensors: dict[str, Tensor]
    """Tensors by their name in the file."""
    paths: tuple[Path, ...]
    """All files that were read."""
    format: str = ""
    """Name of the format; empty if the type of file does not determine it."""
    source_info: SourceInfo = field(default_factory=SourceInfo)
    """Facts about the encoder that the file states."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Reason for each entry that was not read, by its name in the file."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Metadata of mmder's own format; empty for other formats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Tensors of a source under the official names, and facts about the source."""

    name: str
    """Source as the user specified it, without the folder."""
    format: str
    """Name of the format, from `formats.FORMATS`."""
    sha256: str
    """Hash of the file, or of the list of hashes if there are several files."""
    encoder: str
    """Name of the encoder that most tensors fit; empty if no tensor fits any."""
    tensors: dict[str, Tensor]
    """Tensors by their official name."""
    dropped: Mapping[str, str]
    """Reason for each tensor that was not loaded, by its name in the file."""
    readout: PoolingConfig
    """Pooling, LayerNorm epsilon and positions that the authors used."""
    image_norm: str
    """Image normalization that it expects, from `fusion.rendering.IMAGE_NORMS`."""
    source_info: SourceInfo
    """Facts about the encoder that the source states."""
    metadata: dict[str, Any]
    """Metadata of mmder's own format; empty for other formats."""
