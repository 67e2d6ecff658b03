"""Imported by the template alone: loads the modules that `template.start` names.

What cannot be loaded is left to the worker, which can say why.
"""

import ctypes
import gc
import os
import signal
from contextlib import suppress
from importlib import import_module

NAMED_IN = "MMDER_PREP_LOADS"
"""The variable of the environment that names them."""
PR_SET_PDEATHSIG = 1

_names = os.environ.get(NAMED_IN, "").split()
if _names:
    # When the program is stopped, also while we load, this process ends with it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
# A million objects are made here, and none is to be thrown away: looking for some takes
# a sixth of the time, and of the copies it would copy the memory.
gc.disable()
for _name in _names:
    with suppress(Exception):
        import_module(_name)
gc.freeze()
gc.enable()
