"""Preloaded by Dask in each worker: the program handles Ctrl-C and stops its workers.

A module, because Dask would write a text of code to a file that a kill leaves behind.
"""

import signal


def dask_setup(worker: object) -> None:
    """Ignore SIGINT, which a terminal sends to the workers as well.

    Args:
        worker: Worker of Dask.
    """
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
