"""Quiet end of a program whose resource tracker was killed.

Python's resource tracker is a process that frees the semaphores of killed programs. If
it is killed itself, Python starts another one, which prints a `KeyError` for each
semaphore that it does not know when the program frees it.
"""

import warnings
from collections.abc import Sized
from multiprocessing import resource_tracker


def tolerate() -> None:
    """Report a freed resource only to the tracker at which it was registered."""
    tracker = resource_tracker._resource_tracker
    if resource_tracker.register != tracker.register:
        return  # a second run in this process
    registered: dict[tuple[Sized, str], int | None] = {}

    def register(name: Sized, rtype: str) -> None:
        tracker.register(name, rtype)
        registered[name, rtype] = vars(tracker)["_pid"]

    def unregister(name: Sized, rtype: str) -> None:
        tracker.ensure_running()
        if (
            registered.pop((name, rtype), vars(tracker)["_pid"])
            == vars(tracker)["_pid"]
        ):
            tracker.unregister(name, rtype)

    resource_tracker.register = register
    resource_tracker.unregister = unregister
    warnings.filterwarnings("ignore", message="resource_tracker: process died")
