"""What a pass through an encoder costs, as the papers count it."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

PER_NORM = 5
"""Operations that the usual counter takes for one number through a LayerNorm."""


def giga_multiplications(encoder: nn.Module, *, side_px: int) -> float:
    """Count one clip's, in 10^9: products of matrices, and LayerNorms.

    PyTorch counts a multiplication and its addition as two and leaves norms out; the
    papers count them as one and count norms.

    Args:
        encoder: On the meta device, where nothing is computed.
        side_px: Of the clip.
    """
    normed = 0

    def note(_: nn.Module, __: object, out: torch.Tensor) -> None:
        nonlocal normed
        normed += PER_NORM * out.numel()

    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, 3, 16, side_px, side_px, device="meta"))
    products: int = counter.get_total_flops()
    return (products / 2 + normed) / 1e9
