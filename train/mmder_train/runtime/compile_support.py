"""Requirements of torch.compile, which it reports only at the first batch."""

import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from mmder_store.errors import SettingsError


def check_compiler(device: str) -> None:
    """Check that torch.compile can compile for a device.

    On a CPU it calls a C++ compiler. For a GPU it uses Triton, which calls a C compiler
    and includes Python's header.

    Args:
        device: Kind of device, ``cpu`` or ``cuda``.

    Raises:
        SettingsError: If something is missing. The message names it.
    """
    if device == "cpu":
        _check_program("C++ compiler", (os.environ.get("CXX") or "g++", "clang++"))
        return
    if find_spec("triton") is None:
        _refuse("Triton", "triton", "Install it with pip")
    _check_program("C compiler", (os.environ.get("CC") or "gcc", "clang", "cc"))
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        _refuse("Python's header", str(header), "Install the headers (python3-dev)")


def _check_program(kind: str, names: tuple[str, ...]) -> None:
    if not any(map(shutil.which, names)):
        variable = "CXX" if "++" in kind else "CC"
        _refuse(f"a {kind}", names[0], f"Install one, name it in {variable}")


def _refuse(what: str, name: str, way_out: str) -> NoReturn:
    msg = (
        f"--compile: torch.compile needs {what}, and {name} was not found. {way_out}, "
        "or omit --compile."
    )
    raise SettingsError(msg)
