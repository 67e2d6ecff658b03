"""Preload module of the worker template: imports the modules named by `start`.

The environment variable MODULES_VARIABLE names them. A module that cannot be imported
is skipped; the worker that needs it reports the error.
"""

import ctypes
import gc
import os
import signal
from contextlib import suppress
from importlib import import_module

MODULES_VARIABLE = "MMDER_PREP_LOADS"
"""Environment variable with the names of the modules, separated by spaces."""
PR_SET_PDEATHSIG = 1

_names = os.environ.get(MODULES_VARIABLE, "").split()
if _names:
    # This process ends with the program that started it, even during the imports.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
# The imports make a million objects that are never freed. Without garbage collection
# they take a sixth less time. Frozen objects are ignored by later collections, which
# would otherwise copy their memory pages in every worker.
gc.disable()
for _name in _names:
    with suppress(Exception):
        import_module(_name)
gc.freeze()
gc.enable()
