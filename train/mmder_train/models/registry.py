"""The table of encoders: what each is called, how it is made, how it is read out."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from timm.layers import DropPath  # type: ignore[attr-defined]

from mmder_store.errors import SettingsError
from mmder_train.models import mae_dfer, videomae
from mmder_train.models.videomae import SIZES, PoolingConfig

Encoder = videomae.Encoder | mae_dfer.Encoder
"""Clips to one vector each; with `dim`, `side_px` and `blocks`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderEntry:
    """One encoder that can be trained."""

    make: Callable[[PoolingConfig], Encoder]
    """Gives one with random weights from torch's global generator."""
    readout: PoolingConfig
    """What its authors do when they fine-tune it."""
    pools: tuple[Literal["mean", "region"], ...] = ("mean",)
    """Which tokens can be averaged."""
    drops_tokens: bool = True
    """Whether a training step can leave tokens out."""
    residuals: tuple[str, ...] = ("drop_path1", "drop_path2")
    """Modules of a block through which its residuals pass."""


ENCODERS: dict[str, EncoderEntry] = {
    **{
        name: EncoderEntry(
            make=partial(videomae.Encoder, size), readout=PoolingConfig()
        )
        for name, size in SIZES.items()
    },
    "mae-dfer": EncoderEntry(
        make=mae_dfer.Encoder,
        readout=PoolingConfig(pool="region"),
        pools=("mean", "region"),
        drops_tokens=False,  # its regions need every place
        residuals=("drop_path",),
    ),
}


def build_encoder(
    name: str,
    readout: PoolingConfig | None = None,
    *,
    compiled: bool = False,
    checkpoint_activations: bool = False,
    drop_tokens: float = 0.0,
    drop_path: float = 0.0,
) -> Encoder:
    """Make an encoder with random weights from torch's global generator.

    Args:
        name: One of `ENCODERS`.
        readout: How it is read out; None for what its authors do.
        compiled: Whether torch.compile makes its blocks faster. Each block is
            compiled in place, so that names of weights stay as they are and the
            first of all equal blocks pays for the others.
        checkpoint_activations: Whether the inside of a block is computed again for
            the gradients instead of being kept.
        drop_tokens: Share of a clip's tokens that a training step leaves out.
        drop_path: Share of clips that pass the last block by in a training step; it
            grows evenly from 0 at the first (stochastic depth, arXiv 1603.09382).

    Raises:
        SettingsError: If there is none of this name, it has no such read-out or needs
            all tokens, or there is nothing to compile with.
    """
    kind = ENCODERS.get(name)
    if kind is None:
        msg = f"--encoder {name}: expected one of {', '.join(ENCODERS)}"
        raise SettingsError(msg)
    readout = readout or kind.readout
    if readout.pool not in kind.pools:
        msg = (
            f"--pool {readout.pool}: the encoder {name} has no such tokens. "
            f"Say --pool {' or '.join(kind.pools)}."
        )
        raise SettingsError(msg)
    if drop_tokens and not kind.drops_tokens:
        msg = f"--drop-tokens: the encoder {name} needs all of them; leave it out"
        raise SettingsError(msg)
    encoder = kind.make(readout)
    encoder.checkpoint_activations = checkpoint_activations
    if isinstance(encoder, videomae.Encoder):
        encoder.drop_tokens = drop_tokens
    for number, block in enumerate(encoder.blocks):
        rate = drop_path * number / max(1, len(encoder.blocks) - 1)
        if rate:
            for name in kind.residuals:
                setattr(block, name, DropPath(rate))
    if compiled:
        _check_compiler()
        for block in encoder.blocks:
            block.compile()
    return encoder


def _check_compiler() -> None:
    """Raise unless there is what torch.compile would call only at the first batch."""
    names = (os.environ.get("CXX") or "g++", "clang++")
    if not any(map(shutil.which, names)):
        msg = (
            f"--compile: torch.compile needs a C++ compiler, there is no {names[0]} "
            "here. Install one, name it in CXX, or leave --compile out."
        )
        raise SettingsError(msg)
