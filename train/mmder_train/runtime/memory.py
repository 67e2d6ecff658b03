"""Memory of this process: kept for the next step, and told apart when it is short."""

import ctypes
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEEP_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for what is asked for next.

    Tensors of a step are hundreds of megabytes, and as many in the next step. By
    default glibc gives each back to the system, which clears every page anew: on a
    CPU that took half the time of a step of a small encoder. Elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell if an error of torch or Python is about memory, the device's or ours."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text
