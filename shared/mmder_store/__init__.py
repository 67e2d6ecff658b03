"""The Zarr store that `mmder-prep` writes and `mmder-train` reads.

The names below are imported on first use, so that a program that only prints its help
does not load zarr.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmder_store.emotions import LabelSet
    from mmder_store.errors import MmderError
    from mmder_store.protocols import FoldProtocol
    from mmder_store.schema import FORMAT_VERSION
    from mmder_store.settings import PrepSettings
    from mmder_store.store import Store, StoredClip, open_store
    from mmder_store.store_spec import StoreSpec

__all__ = [
    "FORMAT_VERSION",
    "FoldProtocol",
    "LabelSet",
    "MmderError",
    "PrepSettings",
    "Store",
    "StoreSpec",
    "StoredClip",
    "open_store",
]

_MODULES = {
    "FORMAT_VERSION": "schema",
    "FoldProtocol": "protocols",
    "LabelSet": "emotions",
    "MmderError": "errors",
    "PrepSettings": "settings",
    "Store": "store",
    "StoreSpec": "store_spec",
    "StoredClip": "store",
    "open_store": "store",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
