"""A preloaded process from which workers are forked.

Importing torch and librosa takes four seconds and most of the memory of a worker. The
template imports them once, while the program is still importing Dask. Unlike the
program, the template has a single thread and holds no lock when it is forked.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Sequence

from mmder_prep.pipeline import lost_tracker, temp_folder, worker_imports
from mmder_store.settings import PrepSettings

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Dask returns freed memory to the system at once. MTCNN allocates and frees the
    # same megabytes hundreds of times per clip, and page faults took a third of the
    # time. With these values one arena keeps them, and only large blocks are returned.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    # By default torch caches 1,024 prepared convolutions, one per frame size and number
    # of faces. After clips of many sizes these take 50 MB and save no time.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}
"""Environment variables of local workers."""
MAX_TEMP_FOLDER_BYTES = 107 - len("/mmder-01234567/listener-01234567")
"""Maximum length of the path of the folder for temporary files. The template has a
socket in it, and the path of a socket has at most 107 bytes."""


def start_method() -> str:
    """Return the `multiprocessing` start method of the workers.

    It is `forkserver` on Linux and `spawn` elsewhere: on macOS, system libraries must
    not be used in a forked process. It is also `spawn` if the path of the folder for
    temporary files is too long.
    """
    length = len(os.fsencode(tempfile.gettempdir()))
    fits = length <= MAX_TEMP_FOLDER_BYTES
    return "forkserver" if sys.platform == "linux" and fits else "spawn"


def required_modules(settings: PrepSettings) -> list[str]:
    """Return the names of the modules that a worker needs for its first clip."""
    modules = [
        "distributed",
        "mmder_prep.pipeline.shard",
        "mmder_prep.pipeline.prepare_clip",
    ]
    # Librosa imports its submodules on first use.
    modules += ["librosa.core.spectrum", "librosa.feature.spectral"]
    faces = settings.modality == "av" and settings.face_crop
    return [*modules, "mmder_prep.faces.mtcnn"] if faces else modules


def start(modules: Sequence[str]) -> None:
    """Start the template, which imports modules in the background."""
    os.environ.update(ENVIRONMENT)
    # A worker that is stopped during a clip leaves a semaphore to Python's resource
    # tracker, which frees it and would print a warning after the program's last line.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    temp_folder.create()
    if start_method() != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    os.environ[worker_imports.MODULES_VARIABLE] = " ".join(modules)
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        [worker_imports.__name__]
    )
    lost_tracker.tolerate()
    # Otherwise `forkserver` starts the tracker, which unblocks SIGINT.
    resource_tracker.ensure_running()
    # The template inherits the blocked SIGINT: Ctrl-C is handled by the program only.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
