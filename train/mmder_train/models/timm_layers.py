"""The layers that are taken from timm, imported without torch's compiler.

timm imports torchvision and all of its own models. These import torch's compiler to ask
whether it could compile an operation, and to exclude a method from compilation. That
takes most of the time of the import, also in a process that compiles nothing. The
compiler is imported as usual when it is used.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Replace torch's compiler during an import, unless it is imported already."""
    if "torch._dynamo" in sys.modules:
        yield
        return
    dynamo, utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    dynamo.disable = _unchanged  # type: ignore[attr-defined]
    utils.is_compile_supported = lambda _device: False  # type: ignore[attr-defined]
    replaced = {module.__name__: module for module in (dynamo, utils)}
    sys.modules.update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            del sys.modules[name]


def _unchanged(
    function: Callable[..., Any],
    *_settings: object,
    **_more: object,
) -> Callable[..., Any]:
    """Return a function that would be excluded from compilation."""
    return function


with _without_compiler():
    from timm.layers import DropPath as DropPath  # type: ignore[attr-defined]
    from timm.models.beit import Block as Block
