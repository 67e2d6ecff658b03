"""Creation of modules without their random initialization."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RANDOM = (
    Tensor.uniform_,
    Tensor.normal_,
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
)
"""Functions that draw numbers: those of tensors, and initializers that PyTorch passes
to a mode as a whole."""


class SkipRandomInit(TorchFunctionMode):
    """Context in which tensors are not filled with random numbers.

    The weights of modules that are created in it must be loaded before they are used.
    Buffers and constant parameters have their values.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Call a function of torch, unless it fills a tensor with random numbers."""
        del types
        kwargs = kwargs or {}
        if func in RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
