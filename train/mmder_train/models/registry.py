"""Registry of encoders: name, constructor and default pooling of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from mmder_store.errors import SettingsError
from mmder_train.models import mae_dfer, videomae
from mmder_train.models.drop_path import DropPath
from mmder_train.models.videomae import SIZES, PoolingConfig

Encoder = videomae.Encoder | mae_dfer.Encoder
"""Module from clips to one vector each, with `dim`, `side_px` and `blocks`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderEntry:
    """An encoder that can be trained."""

    make: Callable[[PoolingConfig], Encoder]
    """Function that creates it with random weights from torch's global generator."""
    readout: PoolingConfig
    """Pooling, epsilon and positions that its authors use in fine-tuning."""
    pools: tuple[Literal["mean", "region"], ...] = ("mean",)
    """Types of tokens that can be averaged."""
    drops_tokens: bool = True
    """True if a training step can drop tokens."""
    residuals: tuple[str, ...] = ("drop_path1", "drop_path2")
    """Names of a block's stochastic-depth modules, one per residual branch."""


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
        drops_tokens=False,  # its regions need all tokens
        residuals=("drop_path",),
    ),
}


def input_dtype(encoder: Encoder) -> torch.dtype:
    """Return a number format of inputs that does not change an encoder's output.

    The first layer of VideoMAE converts its input to the format of its weights. An
    encoder that resizes images does so before, in the format of the input.
    """
    if isinstance(encoder, videomae.Encoder):
        return encoder.patch_embed.proj.weight.dtype
    return torch.float32


def build_encoder(
    name: str,
    readout: PoolingConfig | None = None,
    *,
    compiled: bool = False,
    checkpoint_activations: bool = False,
    drop_tokens: float = 0.0,
    drop_path: float = 0.0,
) -> Encoder:
    """Create an encoder with random weights from torch's global generator.

    Args:
        name: A name in `ENCODERS`.
        readout: Pooling, epsilon and positions. None for those of its authors.
        compiled: Compile the blocks with torch.compile; see
            `compile_support.check_compiler`. Each block is compiled in place, so the
            names of weights do not change, and equal blocks share the code that is
            compiled for the first.
        checkpoint_activations: Recompute the activations inside a block for the
            gradients instead of storing them.
        drop_tokens: Fraction of a clip's tokens that are dropped in a training step.
        drop_path: Stochastic-depth rate of the last block in a training step (arXiv
            1603.09382). The rate rises linearly from 0 at the first block.

    Raises:
        SettingsError: If no encoder has this name, the encoder does not support the
            pooling or needs all tokens.
    """
    entry = ENCODERS.get(name)
    if entry is None:
        msg = f"--encoder {name}: expected one of {', '.join(ENCODERS)}"
        raise SettingsError(msg)
    readout = readout or entry.readout
    if readout.pool not in entry.pools:
        msg = (
            f"--pool {readout.pool}: the encoder {name} has no such tokens. "
            f"Use --pool {' or '.join(entry.pools)}."
        )
        raise SettingsError(msg)
    if drop_tokens and not entry.drops_tokens:
        msg = f"--drop-tokens: the encoder {name} needs all tokens. Omit it."
        raise SettingsError(msg)
    encoder = entry.make(readout)
    encoder.checkpoint_activations = checkpoint_activations
    if isinstance(encoder, videomae.Encoder):
        encoder.drop_tokens = drop_tokens
    for number, block in enumerate(encoder.blocks):
        rate = drop_path * number / max(1, len(encoder.blocks) - 1)
        # The first block too, whose rate is 0: all blocks then share compiled code.
        if drop_path:
            for residual in entry.residuals:
                setattr(block, residual, DropPath(rate))
    if compiled:
        for block in encoder.blocks:
            block.compile()
    return encoder
