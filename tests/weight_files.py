"""Checkpoints of one small encoder, in the forms that the field publishes."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmder_train import weights
from mmder_train.models.videomae import Encoder, Head, Size, positions

SIZE = Size(dim=24, depth=2, heads=2)
Tensors = dict[str, Tensor]


def randomize(encoder: torch.nn.Module) -> Any:
    """Fill all parameters of an encoder with normal noise."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in encoder.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return encoder


def with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    """Return tensors with a prefix before each name."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def replaced(tensors: Tensors, *pairs: tuple[str, str]) -> Tensors:
    """Return tensors with parts of their names replaced."""
    out = {}
    for name, tensor in tensors.items():
        for old, new in pairs:
            name = name.replace(old, new)
        out[name] = tensor
    return out


ORIGINAL: Encoder = randomize(Encoder(SIZE))
BARE: Tensors = ORIGINAL.state_dict()
FINE_TUNED = {**BARE, **Head(24, 400).state_dict()}
PRE_TRAINED = {
    **with_prefix("encoder.", BARE),
    "encoder.norm.weight": torch.ones(24),
    "encoder.norm.bias": torch.ones(24),
    "mask_token": torch.ones(1, 1, 12),
    "encoder_to_decoder.weight": torch.ones(12, 24),
    "decoder.blocks.0.attn.qkv.weight": torch.ones(36, 12),
    "decoder.blocks.0.attn.q_bias": torch.ones(12),
    "decoder.norm.weight": torch.ones(12),
    "decoder.head.weight": torch.ones(1536, 12),
}


def marlin(prefix: str) -> Tensors:
    """Return the tensors under the names of MARLIN."""
    tensors = replaced(
        BARE,
        ("patch_embed.proj", "patch_embedding.projection"),
        ("mlp.fc1", "mlp.layers.0.linear"),
        ("mlp.fc2", "mlp.layers.1.linear"),
    )
    table = positions(1568, 24)[None]
    others = {"pos_embedding.emb": table, "norm.weight": torch.ones(24)}
    return with_prefix(prefix, {**tensors, **others})


MMACTION = {
    **with_prefix(
        "backbone.",
        replaced(
            BARE,
            ("patch_embed.proj", "patch_embed.projection"),
            ("mlp.fc1", "mlp.layers.0.0"),
            ("mlp.fc2", "mlp.layers.1"),
        ),
    ),
    "backbone.pos_embed": positions(1568, 24)[None],
    "backbone.fc_norm.weight": torch.ones(24),
    "cls_head.fc_cls.weight": torch.ones(400, 24),
}
OPTIONS = argparse.Namespace(input_size=224, num_frames=16, model="pretrain_x")
SOURCES: dict[str, tuple[Any, str]] = {
    "pre-training": ({"model": PRE_TRAINED, "epoch": 799, "args": OPTIONS}, "VideoMAE"),
    "fine-tuning": ({"model": FINE_TUNED, "optimizer": {"state": {}}}, "VideoMAE"),
    "module": ({"module": FINE_TUNED}, "VideoMAE"),
    "bare": (FINE_TUNED, "VideoMAE"),
    "state_dict": ({"state_dict": FINE_TUNED}, "VideoMAE"),
    "V2 of Hugging Face": (with_prefix("model.", BARE), "VideoMAE"),
    "DDP": ({"model": with_prefix("module.", FINE_TUNED)}, "VideoMAE"),
    "DDP pre-training": (with_prefix("module.", PRE_TRAINED), "VideoMAE"),
    "compiled": (with_prefix("_orig_mod.", PRE_TRAINED), "VideoMAE"),
    "compiled DDP": (with_prefix("module._orig_mod.", FINE_TUNED), "VideoMAE"),
    "MARLIN": (marlin("encoder."), "MARLIN"),
    "MARLIN of Hugging Face": (marlin("marlin.encoder."), "MARLIN"),
    "MMAction2": ({"meta": {"epoch": 1}, "state_dict": MMACTION}, "MMAction2"),
}
"""Content of a file and the name of its format, by source."""


def reloaded(path: Path, **options: Any) -> Tensors:
    """Load a file into a new encoder and return the tensors of that encoder."""
    loaded = weights.load_weights(path)
    torch.manual_seed(5)
    encoder = Encoder(SIZE, loaded.readout)
    weights.load_into(encoder, loaded, **options)
    return encoder.state_dict()


def assert_same(tensors: Tensors) -> None:
    """Check that tensors equal those of the original encoder."""
    assert tensors.keys() == BARE.keys()
    for name, tensor in BARE.items():
        assert torch.equal(tensors[name], tensor), name
