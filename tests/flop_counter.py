"""Cost of an encoder's forward pass, counted as in the papers."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

PER_NORM = 5
"""Number of operations per element of a LayerNorm, as counters usually assume."""


def giga_multiplications(encoder: nn.Module, *, side_px: int) -> float:
    """Count the operations for one clip, in 10^9: matrix products and LayerNorms.

    PyTorch counts a multiplication with its addition as two, and no norms. The papers
    count it as one, and include norms.

    Args:
        encoder: Encoder on the meta device, where nothing is computed.
        side_px: Height and width of the clip.
    """
    norm_operations = 0

    def count_norm(_: nn.Module, __: object, out: torch.Tensor) -> None:
        nonlocal norm_operations
        norm_operations += PER_NORM * out.numel()

    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(count_norm)
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, 3, 16, side_px, side_px, device="meta"))
    products: int = counter.get_total_flops()
    return (products / 2 + norm_operations) / 1e9
