"""The classifier reports its unused weights, and groups its layers for layer decay."""

import re

import torch

from mmder_train.models import mae_dfer, videomae
from mmder_train.models.classifier import Classifier
from mmder_train.models.videomae import Head, PoolingConfig, Size


def test_weights_with_a_zero_gradient_are_reported() -> None:
    clips = torch.randn(1, 3, 16, 224, 224)
    for pool, unused in (("region", True), ("mean", False)):
        encoder = mae_dfer.Encoder(PoolingConfig(pool=pool), depth=1)  # type: ignore[arg-type]
        model = Classifier(encoder, Head(encoder.dim, 3))
        model(clips).sum().backward()
        gradients = [p.grad for p in model.parameters()]
        assert any(g is None or not g.any() for g in gradients) is unused
        assert model.has_unused is unused


def test_layer_patterns_match_the_patches_and_the_blocks() -> None:
    size = Size(dim=48, depth=2, heads=3)
    model = Classifier(videomae.Encoder(size), Head(size.dim, 3))
    patterns = model.group_matcher(coarse=False)
    matched = {
        layer: {
            match[0]
            for name, _ in model.named_parameters()
            if (match := re.match(pattern, name))
        }
        for layer, pattern in patterns.items()
    }
    assert matched == {
        "stem": {"encoder.patch_embed"},
        "blocks": {"encoder.blocks.0", "encoder.blocks.1"},
    }
