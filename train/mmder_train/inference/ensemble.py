"""Encoders and heads built from the weights of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from mmder_store.errors import WeightsError
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder
from mmder_train.models.videomae import Head, PoolingConfig
from mmder_train.runtime.device import FROZEN_DTYPE
from mmder_train.weights.types import RawCheckpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldEnsemble:
    """One encoder, and the heads of all folds that use it."""

    encoder: Encoder
    heads: tuple[Head, ...]


def build_ensembles(
    checkpoints: Mapping[int, RawCheckpoint], *, classes: int, device: torch.device
) -> list[FoldEnsemble]:
    """Build the models of some folds.

    If the encoders of all folds are equal, as with a frozen encoder, a single ensemble
    shares one encoder. Otherwise there is one ensemble per fold.

    Args:
        checkpoints: Content of the weights file of each fold, by fold number.
        classes: Number of classes of the heads.
        device: Device of the models.

    Raises:
        WeightsError: If a file lacks a tensor, or a tensor has another shape.
    """
    first = next(iter(checkpoints.values()))
    shared = all(_same_encoder(first, other) for other in checkpoints.values())
    ensembles: list[FoldEnsemble] = []
    for checkpoint in checkpoints.values():
        encoder = (
            ensembles[0].encoder
            if ensembles and shared
            else _build_encoder(checkpoint, device)
        )
        head = _build_head(checkpoint, encoder.dim, classes).to(device)
        ensembles.append(FoldEnsemble(encoder=encoder, heads=(head,)))
    if shared:
        heads = tuple(head for ensemble in ensembles for head in ensemble.heads)
        return [FoldEnsemble(encoder=ensembles[0].encoder, heads=heads)]
    return ensembles


def _same_encoder(a: RawCheckpoint, b: RawCheckpoint) -> bool:
    """Return whether two files differ only in their heads, as with a frozen encoder."""
    heads = Head(1, 1).state_dict().keys()
    return a.tensors.keys() == b.tensors.keys() and all(
        name in heads
        or tensor is b.tensors[name]
        or torch.equal(tensor, b.tensors[name])
        for name, tensor in a.tensors.items()
    )


def _build_encoder(checkpoint: RawCheckpoint, device: torch.device) -> Encoder:
    """Build an encoder in the precision in which it was tested."""
    name, config = checkpoint.metadata["encoder"], checkpoint.metadata["config"]
    if name not in ENCODERS:
        msg = f"unknown encoder {name!r}"
        raise ValueError(msg)
    pooling = PoolingConfig(
        norm_eps=config["norm_eps"], pool=config["pool"], pos_embed=config["pos_embed"]
    )
    encoder = build_encoder(name, pooling)
    _load_tensors(encoder, checkpoint)
    frozen = config["method"] == "linear-probe"
    dtype = FROZEN_DTYPE[device.type] if frozen else torch.float32
    return encoder.to(device=device, dtype=dtype)


def _build_head(checkpoint: RawCheckpoint, dim: int, classes: int) -> Head:
    head = Head(dim, classes)
    _load_tensors(head, checkpoint)
    return head


def _load_tensors(module: nn.Module, checkpoint: RawCheckpoint) -> None:
    """Copy the tensors of a file into an encoder or a head.

    Raises:
        WeightsError: If a tensor is missing, has another shape, or is not finite.
    """
    expected = module.state_dict()
    for name, tensor in expected.items():
        stored = checkpoint.tensors.get(name)
        if (
            stored is None
            or stored.shape != tensor.shape
            or not stored.isfinite().all()
        ):
            msg = (
                f"weights {checkpoint.paths[0]}: tensor {name!r} is missing, has "
                "another shape or is not finite. Train again with --save-weights."
            )
            raise WeightsError(msg)
    module.load_state_dict(
        {name: checkpoint.tensors[name].float() for name in expected}
    )
    module.eval()
