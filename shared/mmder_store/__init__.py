"""The store: the contract between `mmder-prep` and `mmder-train`.

`mmder-prep` writes one, `mmder-train` reads nothing else. The names below are loaded
when they are used, so that a program that only shows its help does not wait for zarr.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmder_store.emotions import LabelSet
    from mmder_store.errors import MmderError
    from mmder_store.protocols import FoldProtocol
    from mmder_store.schema import FORMAT_VERSION
    from mmder_store.settings import PrepSettings
    from mmder_store.store import Store
    from mmder_store.store_spec import StoreSpec

__all__ = [
    "FORMAT_VERSION",
    "FoldProtocol",
    "LabelSet",
    "MmderError",
    "PrepSettings",
    "Store",
    "StoreSpec",
]

_HOME = {
    "FORMAT_VERSION": "schema",
    "FoldProtocol": "protocols",
    "LabelSet": "emotions",
    "MmderError": "errors",
    "PrepSettings": "settings",
    "Store": "store",
    "StoreSpec": "store_spec",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
