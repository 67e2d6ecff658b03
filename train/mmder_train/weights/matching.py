"""Compare weights with an encoder, and load them into it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from mmder_store.errors import WeightsError
from mmder_train.models.registry import ENCODERS, EncoderEntry, build_encoder
from mmder_train.models.videomae import FRAMES, positions
from mmder_train.weights.types import Weights

POSITIONS = "pos_embed"
PATCH = "patch_embed.proj.weight"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
POSITION_TOLERANCE = 2e-3
"""Maximum difference between the fixed positions and those in a file.

Half precision rounds by up to 5e-4. Angles computed in single precision are off by up
to 1e-4.
"""
HEADS = re.compile(r"made for \d+ heads, .*")
"""Difference in the number of attention heads."""
ENCODER_PART = re.compile(r"block|layer|embed|token|attn|position")
"""Names of tensors that belong to an encoder, not to a head."""
MAX_NAMES = 3
"""Maximum number of tensor names in an error message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightMatch:
    """Result of comparing the tensors of a source with those of an encoder."""

    matched: tuple[str, ...]
    """Names of tensors that can be loaded."""
    new: tuple[str, ...]
    """Names of tensors that keep their random initialization, as the user allowed."""
    missing: tuple[str, ...]
    """Names of encoder tensors that the source lacks."""
    mismatched: tuple[str, ...]
    """Descriptions of differences in shape, dtype, image size or number of heads."""
    unexpected: tuple[str, ...]
    """Names of source tensors that the encoder does not have."""
    advice: str
    """Suggestion for the user if the weights do not fit."""

    @property
    def is_complete(self) -> bool:
        """True if the encoder can be loaded completely."""
        return not (self.missing or self.mismatched or self.unexpected)

    def raise_if_incompatible(self, name: str) -> None:
        """Raise an error unless the encoder can be loaded completely.

        Args:
            name: Name of the weights, for the message.

        Raises:
            WeightsError: With the differences and a suggestion, if there are any.
        """
        if self.is_complete:
            return
        parts = [_shorten(list(self.mismatched))] if self.mismatched else []
        if self.unexpected:
            names = _shorten([repr(n) for n in self.unexpected])
            parts.append(f"the encoder has no {names}")
        if self.missing:
            parts.append("no tensor " + _shorten([repr(n) for n in self.missing]))
        msg = f"weights {name}: {'; '.join(parts)}. {self.advice}"
        raise WeightsError(msg)


def _shorten(items: Sequence[str]) -> str:
    hidden = len(items) - MAX_NAMES
    shown = ", ".join(items[:MAX_NAMES])
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def match_weights(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str] = ()
) -> WeightMatch:
    """Compare every tensor of an encoder with every tensor of a source.

    Args:
        encoder: An encoder on any device. It may be on ``meta``, without values.
        weights: Weights from `load_weights`.
        new_parts: Tensor names, or starts of names up to a dot, that may keep their
            random initialization.

    Raises:
        WeightsError: If the encoder has no tensor that begins with such a name.
    """
    expected = encoder.state_dict()
    for part in new_parts:
        if part != POSITIONS and not any(_is_in(name, [part]) for name in expected):
            msg = f"--allow-missing {part}: no tensor of the encoder begins with it"
            raise WeightsError(msg)
    loaded = dict(weights.tensors)
    table = loaded.pop(POSITIONS, None)
    differences = {} if table is None else _compare_positions(encoder, table)
    absent = [name for name in expected if name not in loaded]
    for name in expected.keys() & loaded.keys():
        if text := _difference(name, loaded[name], expected[name].shape):
            differences[name] = text
    refused = {n: differences[n] for n in differences if not _is_in(n, new_parts)}
    new = [
        name
        for name in expected
        if (name in absent or name in differences) and _is_in(name, new_parts)
    ]
    missing = [name for name in absent if not _is_in(name, new_parts)]
    unexpected = sorted(loaded.keys() - expected.keys())
    inputs = _compare_inputs(encoder, weights, new_parts)
    if POSITIONS in new_parts:
        new.append(POSITIONS)
    order = sorted(refused, key=lambda name: (name != PATCH, name))
    return WeightMatch(
        matched=tuple(n for n in expected if n in loaded and n not in differences),
        new=tuple(new),
        missing=tuple(missing),
        mismatched=(*inputs, *(refused[name] for name in order)),
        unexpected=tuple(unexpected),
        advice=_advice(weights, expected, missing, refused, unexpected, inputs),
    )


def _is_in(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def _difference(name: str, tensor: Tensor, shape: torch.Size) -> str:
    if tensor.shape != shape:
        return f"tensor {name!r} is {tuple(tensor.shape)}, expected {tuple(shape)}"
    if tensor.dtype not in FLOATS:
        dtypes = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
        return f"tensor {name!r} has dtype {tensor.dtype}, expected one of {dtypes}"
    # A sum is twenty times as fast. It is finite unless a value is not finite or huge.
    if not tensor.sum().isfinite() and not tensor.isfinite().all():
        return f"tensor {name!r} contains values that are not finite"
    return ""


def _compare_positions(encoder: nn.Module, table: Tensor) -> dict[str, str]:
    """Compare positions from a file with the fixed ones. A file may omit them."""
    fixed = getattr(encoder, "positions", None)
    if fixed is None:
        return {}
    if table.shape[-2:] != fixed.shape or table.numel() != fixed.numel():
        return {
            POSITIONS: f"tensor {POSITIONS!r} is {tuple(table.shape)}, expected "
            f"{(1, *fixed.shape)}, so its images or clips had another size"
        }
    same = positions(*fixed.shape)
    if (table.reshape(same.shape).float() - same).abs().max() > POSITION_TOLERANCE:
        return {POSITIONS: f"tensor {POSITIONS!r} is not the fixed sine-cosine table"}
    return {}


def _compare_inputs(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str]
) -> tuple[str, ...]:
    """Compare the image size, clip length and number of heads that a source states.

    Images and clips of another size only change the positions.
    """
    attention = getattr(encoder.get_submodule("blocks.0"), "attn", None)
    info = weights.source_info
    pairs = {"{} heads": (info.heads, getattr(attention, "num_heads", None))}
    if POSITIONS not in new_parts:
        side_px = getattr(encoder, "side_px", None)
        pairs["images of {} px"] = (info.side_px, side_px)
        pairs["clips of {} frames"] = (info.frames, FRAMES)
    return tuple(
        f"made for {text.format(stated)}, expected {expected}"
        for text, (stated, expected) in pairs.items()
        if stated is not None and expected is not None and stated != expected
    )


def _advice(
    weights: Weights,
    expected: Mapping[str, Tensor],
    missing: Sequence[str],
    refused: Mapping[str, str],
    unexpected: Sequence[str],
    inputs: Sequence[str],
) -> str:
    patch = weights.tensors.get(PATCH)
    closest = weights.encoder
    shapes = {name: tensor.shape for name, tensor in expected.items()}
    if closest and _count_fitting(_shapes(ENCODERS[closest]), weights) > _count_fitting(
        shapes, weights
    ):
        return f"Pass --encoder {closest}."
    if any(end.endswith("." + name) for name in missing for end in unexpected):
        return "Mixed prefixes: save the state_dict of one model again."
    if patch is not None and patch.ndim == 4:
        return "An image model: pass --weights timm:NAME@FILE."
    if any(HEADS.fullmatch(text) for text in inputs):
        return (
            "Choose weights with this number of attention heads: the tensors have the "
            "same shapes, and --allow-missing cannot change the number."
        )
    if unexpected and not (missing or refused) and not _in_encoder(unexpected):
        return (
            "The encoder itself fits. If these tensors are a head, save the state_dict "
            "without them: every fold trains its own head, of any size."
        )
    if unexpected:
        return "Another architecture: choose a VideoMAE of this size."
    if PATCH in refused:
        return "Choose weights for patches of this size."
    if inputs or POSITIONS in refused:
        return (
            "Choose weights for clips of this size, or pass --allow-missing "
            f"{POSITIONS} if the encoder may be trained with other positions."
        )
    if missing or refused:
        parts = ",".join(
            sorted({_module_of(name) for name in (*missing, *refused)})[:MAX_NAMES]
        )
        return (
            f"Pass --allow-missing {parts} if these may keep their random "
            "initialization."
        )
    return ""


def _in_encoder(names: Sequence[str]) -> bool:
    """Return whether some of the names are those of a part of an encoder."""
    return any(ENCODER_PART.search(name) for name in names)


def _module_of(name: str) -> str:
    words = name.split(".")
    return ".".join(words[:2] if words[0] == "blocks" else words[:1])


def _count_fitting(shapes: Mapping[str, torch.Size], weights: Weights) -> int:
    tensors = weights.tensors
    return sum(
        name in tensors and tensors[name].shape == shape
        for name, shape in shapes.items()
    )


@cache
def _shapes(entry: EncoderEntry) -> dict[str, torch.Size]:
    with torch.device("meta"):
        encoder = entry.make(entry.readout)
    return {name: tensor.shape for name, tensor in encoder.state_dict().items()}


def build_meta_encoder(name: str) -> nn.Module:
    """Build an encoder on the ``meta`` device, with names and shapes but no values."""
    with torch.device("meta"):
        return build_encoder(name)


def closest_encoder(weights: Weights) -> str:
    """Return the name of the encoder that most tensors fit, or "" if none fits."""
    counts = {
        name: _count_fitting(_shapes(ENCODERS[name]), weights) for name in ENCODERS
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else ""


def load_into(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str] = ()
) -> WeightMatch:
    """Load the tensors of a source into an encoder as 32-bit floats, all or none.

    The arguments are those of `match_weights`.

    Raises:
        WeightsError: If a tensor is missing, unexpected or of another shape.
    """
    match = match_weights(encoder, weights, new_parts)
    match.raise_if_incompatible(weights.name)
    loaded = {name: weights.tensors[name].float() for name in match.matched}
    encoder.load_state_dict(encoder.state_dict() | loaded)
    return match
