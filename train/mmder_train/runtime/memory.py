"""Memory of this process: reuse of freed memory, and detection of its exhaustion."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmder_store.errors import MmderError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEEP_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next allocation.

    The tensors of a step take hundreds of megabytes, and those of the next step take as
    many. By default glibc returns the memory to the system after each step, and the
    system clears every page again. On a CPU that took half the time of a step of a
    small encoder. On systems without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)


OUT_OF_MEMORY = (
    # Of torch on a CPU.
    "can't allocate memory",
    "not enough memory",
    # Of CUDA, its libraries, and cuDNN, which finds no plan that fits.
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "o valid execution plans",
    "unable to find an engine to execute this computation",
)
"""Parts of messages of errors that mean exhausted memory. Their classes do not."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch or Python means that memory was exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(p in text for p in OUT_OF_MEMORY)


@contextmanager
def explain_out_of_memory() -> Iterator[None]:
    """Translate errors of exhausted memory into a message with a way out.

    Raises:
        MmderError: Instead of such an error. Other errors are not changed.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        msg = (
            "out of memory: the encoder, its optimizer and one batch do not fit. "
            "Use a smaller --encoder or --batch-size, with --method finetune also "
            "--checkpoint-activations or a larger --grad-accum-steps."
        )
        raise MmderError(msg) from error
