"""What of some weights fits an encoder, and what does not."""

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
SAME_TABLE = 2e-3
"""Between fixed positions and a file's: half precision rounds by up to 5e-4, and
angles that were computed in single precision are off by up to 1e-4."""
MAX_NAMES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightMatch:
    """How the tensors of a source and of an encoder go together."""

    matched: tuple[str, ...]
    new: tuple[str, ...]
    """Stay at random, as the user allowed."""
    missing: tuple[str, ...]
    other: tuple[str, ...]
    """What is there and differs: shapes, kinds of number, pictures."""
    homeless: tuple[str, ...]
    """Tensors that the encoder has no place for."""
    way_out: str

    @property
    def whole(self) -> bool:
        """Whether the encoder can be filled."""
        return not (self.missing or self.other or self.homeless)

    def raise_if_incompatible(self, name: str) -> None:
        """Stop unless the encoder can be filled.

        Raises:
            WeightsError: What does not fit of the weights `name`, and what to do.
        """
        if self.whole:
            return
        parts = [_short(list(self.other))] if self.other else []
        if self.homeless:
            parts.append("no place for " + _short([repr(n) for n in self.homeless]))
        if self.missing:
            parts.append("no tensor " + _short([repr(n) for n in self.missing]))
        msg = f"weights {name}: {'; '.join(parts)}. {self.way_out}"
        raise WeightsError(msg)


def _short(items: Sequence[str]) -> str:
    more = len(items) - MAX_NAMES
    shown = ", ".join(items[:MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def compare(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str] = ()
) -> WeightMatch:
    """Compare every tensor of both sides.

    Args:
        encoder: On any device, also one without numbers (``meta``).
        weights: From `load`.
        new_parts: Names, or beginnings of names up to a dot, that may stay at random.

    Raises:
        WeightsError: If the encoder has no part of such a name.
    """
    want = encoder.state_dict()
    for part in new_parts:
        if part != POSITIONS and not any(_in(name, [part]) for name in want):
            msg = f"--allow-missing {part}: no tensor of the encoder begins so"
            raise WeightsError(msg)
    found = dict(weights.tensors)
    table = found.pop(POSITIONS, None)
    other = {} if table is None else _positions(encoder, table)
    missing = [name for name in want if name not in found]
    for name in want.keys() & found.keys():
        if text := _difference(name, found[name], want[name].shape):
            other[name] = text
    refused = {name: other[name] for name in other if not _in(name, new_parts)}
    new = [n for n in want if (n in missing or n in other) and _in(n, new_parts)]
    lacks = [name for name in missing if not _in(name, new_parts)]
    homeless = sorted(found.keys() - want.keys())
    pictures = _pictures(encoder, weights, new_parts)
    if POSITIONS in new_parts:
        new.append(POSITIONS)
    order = sorted(refused, key=lambda name: (name != PATCH, name))
    return WeightMatch(
        matched=tuple(n for n in want if n in found and n not in other),
        new=tuple(new),
        missing=tuple(lacks),
        other=(*pictures, *(refused[name] for name in order)),
        homeless=tuple(homeless),
        way_out=_way_out(weights, want, lacks, refused, homeless, pictures),
    )


def _in(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def _difference(name: str, found: Tensor, shape: torch.Size) -> str:
    if found.shape != shape:
        return f"tensor {name!r} is {tuple(found.shape)}, expected {tuple(shape)}"
    if found.dtype not in FLOATS:
        kinds = ", ".join(str(kind).removeprefix("torch.") for kind in FLOATS)
        return f"tensor {name!r} holds {found.dtype}, expected one of {kinds}"
    # A sum is twenty times as fast, and finite unless a number is not or it is huge.
    if not found.sum().isfinite() and not found.isfinite().all():
        return f"tensor {name!r} holds numbers that are not finite"
    return ""


def _positions(encoder: nn.Module, table: Tensor) -> dict[str, str]:
    """Compare positions in a file with the fixed ones, which no file needs to hold."""
    fixed = getattr(encoder, "positions", None)
    if fixed is None:
        return {}
    if table.shape[-2:] != fixed.shape or table.numel() != fixed.numel():
        return {
            POSITIONS: f"tensor {POSITIONS!r} is {tuple(table.shape)}, expected "
            f"{(1, *fixed.shape)}, so pictures or clips were of another size"
        }
    same = positions(*fixed.shape)
    if (table.reshape(same.shape).float() - same).abs().max() > SAME_TABLE:
        return {POSITIONS: f"tensor {POSITIONS!r} is not the fixed sine-cosine table"}
    return {}


def _pictures(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str]
) -> tuple[str, ...]:
    """Compare what the source says of its pictures and its attention.

    Pictures and clips of another size only move the positions.
    """
    attention = getattr(encoder.get_submodule("blocks.0"), "attn", None)
    wanted = {
        "{} heads": (weights.facts.heads, getattr(attention, "num_heads", None)),
    }
    if POSITIONS not in new_parts:
        side_px = getattr(encoder, "side_px", None)
        wanted["pictures of {} px"] = (weights.facts.side_px, side_px)
        wanted["clips of {} frames"] = (weights.facts.frames, FRAMES)
    return tuple(
        f"made for {what.format(found)}, expected {expected}"
        for what, (found, expected) in wanted.items()
        if found is not None and expected is not None and found != expected
    )


def _way_out(
    weights: Weights,
    want: Mapping[str, Tensor],
    missing: Sequence[str],
    other: Mapping[str, str],
    homeless: Sequence[str],
    pictures: Sequence[str],
) -> str:
    patch = weights.tensors.get(PATCH)
    fits = weights.encoder
    here = {name: tensor.shape for name, tensor in want.items()}
    if fits and _count(_shapes(ENCODERS[fits]), weights) > _count(here, weights):
        return f"Say --encoder {fits}."
    if any(tail.endswith("." + name) for name in missing for tail in homeless):
        return "Mixed prefixes: save the state_dict of one model again."
    if patch is not None and patch.ndim == 4:
        return "An image model: say --weights timm:NAME@FILE."
    if homeless:
        return "Another architecture: choose a VideoMAE of this size."
    if PATCH in other:
        return "Choose weights made for patches of this size."
    if pictures or POSITIONS in other:
        return (
            "Choose weights made for clips of this size, or say --allow-missing "
            f"{POSITIONS} if the encoder may learn with other positions."
        )
    if missing or other:
        parts = ",".join(
            sorted({_part(name) for name in (*missing, *other)})[:MAX_NAMES]
        )
        return f"Say --allow-missing {parts} if these may start at random."
    return ""


def _part(name: str) -> str:
    words = name.split(".")
    return ".".join(words[:2] if words[0] == "blocks" else words[:1])


def _count(want: Mapping[str, torch.Size], weights: Weights) -> int:
    found = weights.tensors
    return sum(name in found and found[name].shape == want[name] for name in want)


@cache
def _shapes(kind: EncoderEntry) -> dict[str, torch.Size]:
    with torch.device("meta"):
        empty = kind.make(kind.readout)
    return {name: tensor.shape for name, tensor in empty.state_dict().items()}


def build_empty(name: str) -> nn.Module:
    """Make an encoder without numbers: names and shapes alone."""
    with torch.device("meta"):
        return build_encoder(name)


def encoder_of(weights: Weights) -> str:
    """Give the name of the encoder that most of the tensors fit, empty for none."""
    counts = {name: _count(_shapes(ENCODERS[name]), weights) for name in ENCODERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else ""


def load_into(
    encoder: nn.Module, weights: Weights, new_parts: Sequence[str] = ()
) -> WeightMatch:
    """Put a source's tensors into an encoder, all or none, as 32-bit floats.

    Arguments as for `compare`.

    Raises:
        WeightsError: If a tensor is missing, unknown or of another shape.
    """
    fit = compare(encoder, weights, new_parts)
    fit.raise_if_incompatible(weights.name)
    taken = {name: weights.tensors[name].float() for name in fit.matched}
    encoder.load_state_dict(encoder.state_dict() | taken)
    return fit
