"""Check that a path is a path of this machine, not an address of an object store."""

import os
import re
from pathlib import Path

from mmder_store.errors import SettingsError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Start of an address. `pathlib` reduces its two slashes to one. Drives of Windows have
one letter."""


def is_address(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is an address such as ``s3://bucket/store``."""
    text = os.fspath(path)
    if not ADDRESS.match(text):
        return False
    return "://" in text or not Path(text).exists()


def check_local(path: str | os.PathLike[str], name: str) -> None:
    """Check that a path is not an address.

    Args:
        path: The path.
        name: Name of the option or of the column, for the message.

    Raises:
        SettingsError: If it is one.
    """
    if is_address(path):
        msg = (
            f"{name} {os.fspath(path)!r}: an address, expected a path of this machine. "
            "Object stores and URLs are not supported: mount the bucket, or copy the "
            "files"
        )
        raise SettingsError(msg)
