"""Stochastic depth whose rate is a tensor, so that blocks share compiled code."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: skip a residual branch for some clips of a training step.

    It computes what timm's module of this name computes (arXiv 1603.09382). The rate
    is a tensor here. torch.compile treats a Python number as a constant: with a rate
    of its own, each block would be compiled again, until the limit of recompilations
    leaves the remaining blocks uncompiled.
    """

    def __init__(self, rate: float) -> None:
        """Create a module that drops the branch at `rate`, in [0, 1)."""
        super().__init__()
        self.keep: Tensor
        self.register_buffer("keep", torch.tensor(1.0 - rate), persistent=False)

    @property
    def rate(self) -> float:
        """Fraction of the clips for which the branch is dropped."""
        return 1.0 - self.keep.item()

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch, 0 for dropped clips and scaled up for the others.

        Random numbers come from torch's generator of the branch's device.
        """
        if not self.training:
            return branch
        shape = (len(branch), *[1] * (branch.ndim - 1))
        mask = torch.bernoulli(self.keep.expand(shape)) / self.keep
        return branch * mask.to(branch.dtype)
