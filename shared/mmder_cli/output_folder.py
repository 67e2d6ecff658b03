"""Check of the folder that a command writes to, before anything is created."""

import os
from pathlib import Path

from mmder_store.errors import SettingsError


def check_output_folder(out: Path) -> None:
    """Check that a folder is not the root, the home folder, or new in the root.

    A program that runs as root, as in a container, could create any folder there by
    mistake. A folder that exists is accepted, for example a mount at ``/store``.

    Raises:
        SettingsError: If the folder is one of them.
    """
    path = Path(os.path.normpath(out.absolute()))
    if path == path.parent:
        problem = "is the root of the file system"
    elif path == _home():
        problem = "is your home folder"
    elif path.parent == Path("/") and not os.path.lexists(path):
        problem = (
            "would be a new folder in the root of the file system; if that is meant, "
            f"run 'mkdir {path}' first"
        )
    else:
        return
    # An absolute path is often a relative one with a slash too many.
    name = path.name or "store"
    msg = f"--out {out}: {problem}. Choose another folder, for example ./{name}"
    raise SettingsError(msg)


def _home() -> Path | None:
    try:
        return Path(os.path.normpath(Path.home()))
    except RuntimeError:  # the user has no home folder
        return None
