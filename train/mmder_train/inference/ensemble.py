"""Encoders and heads as a run kept them, ready to predict."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from mmder_store.errors import WeightsError
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder
from mmder_train.models.videomae import Head, PoolingConfig
from mmder_train.weights.types import RawCheckpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldEnsemble:
    """One encoder, and the heads of all folds that were trained on it."""

    encoder: Encoder
    heads: tuple[Head, ...]


def build_ensembles(
    held: Mapping[int, RawCheckpoint], *, classes: int, device: torch.device
) -> list[FoldEnsemble]:
    """Build the models of some folds; where their encoders are equal, they share one.

    Args:
        held: What each fold's file of weights holds, by its number.
        classes: How many the heads know.
        device: Where the models go.

    Raises:
        WeightsError: If a file lacks something, or holds it in another shape.
    """
    first = next(iter(held.values()))
    shared = all(_same_encoder(first, one) for one in held.values())
    models: list[FoldEnsemble] = []
    for one in held.values():
        encoder = models[0].encoder if models and shared else _encoder(one).to(device)
        head = _head(one, encoder.dim, classes).to(device)
        models.append(FoldEnsemble(encoder=encoder, heads=(head,)))
    if shared:
        heads = tuple(head for model in models for head in model.heads)
        return [FoldEnsemble(encoder=models[0].encoder, heads=heads)]
    return models


def _same_encoder(a: RawCheckpoint, b: RawCheckpoint) -> bool:
    """Tell whether two files differ in their heads alone, as with a frozen encoder."""
    heads = Head(1, 1).state_dict().keys()
    return a.tensors.keys() == b.tensors.keys() and all(
        name in heads or torch.equal(tensor, b.tensors[name])
        for name, tensor in a.tensors.items()
    )


def _encoder(held: RawCheckpoint) -> Encoder:
    name, config = held.metadata["encoder"], held.metadata["config"]
    if name not in ENCODERS:
        msg = f"encoder {name!r}"
        raise ValueError(msg)
    readout = PoolingConfig(
        norm_eps=config["norm_eps"], pool=config["pool"], pos_embed=config["pos_embed"]
    )
    encoder = build_encoder(name, readout)
    _fill(encoder, held)
    return encoder


def _head(held: RawCheckpoint, dim: int, classes: int) -> Head:
    head = Head(dim, classes)
    _fill(head, held)
    return head


def _fill(part: nn.Module, held: RawCheckpoint) -> None:
    """Fill an encoder or a head with a file's tensors.

    Raises:
        WeightsError: If one is missing, of another shape, or not finite.
    """
    want = part.state_dict()
    for name, tensor in want.items():
        found = held.tensors.get(name)
        if found is None or found.shape != tensor.shape or not found.isfinite().all():
            msg = (
                f"weights {held.paths[0]}: tensor {name!r} is missing, of another "
                "shape or not finite. Train again with --save-weights."
            )
            raise WeightsError(msg)
    part.load_state_dict({name: held.tensors[name].float() for name in want})
    part.eval()
