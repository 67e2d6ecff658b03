"""One process that has loaded what every worker needs, and of which workers are copies.

Loading torch and librosa takes four seconds, and most of the memory of a worker. A
template does it once, while the program is still loading Dask, and has a single thread
and no lock when it is copied: what forks of the program itself would not.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Sequence

from mmder_prep.pipeline import worker_imports
from mmder_store.settings import PrepSettings

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Dask gives freed memory back to the system at once; MTCNN takes and frees the
    # same megabytes hundreds of times a clip, and the page faults took a third of
    # the time. These keep it, in one arena, and give back only what is large.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    # Of 1,024 prepared convolutions, which torch would keep, one for every size of
    # picture and number of faces: 50 MB after clips of many sizes, and no faster.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}
"""Of the workers started here."""
LONGEST_FOLDER = 107 - len("/pymp-01234567/listener-01234567")
"""Letters of the folder for temporary files: the template listens in a file there, and
the system takes no longer name for that."""


def start_method() -> str:
    """Name how workers start: as copies, or, where those may not be, each by itself.

    They may not where a system's own libraries must not be copied in a process that
    has loaded them (macOS), or the folder for temporary files has too long a name.
    """
    fits = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER
    return "forkserver" if sys.platform == "linux" and fits else "spawn"


def required_modules(settings: PrepSettings) -> list[str]:
    """Name the modules that a worker loads before its first clip."""
    always = [
        "distributed",
        "mmder_prep.pipeline.shard",
        "mmder_prep.pipeline.prepare_clip",
    ]
    # Librosa loads its parts when they are first called.
    always += ["librosa.core.spectrum", "librosa.feature.spectral"]
    faces = settings.modality == "av" and settings.face_crop
    return [*always, "mmder_prep.faces.mtcnn"] if faces else always


def start(modules: Sequence[str]) -> None:
    """Begin to load modules beside this process, and do not wait for it."""
    os.environ.update(ENVIRONMENT)
    # A worker that is stopped in the middle of a clip leaves a semaphore to Python's
    # tracker, which frees it and would warn after our last line.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    if start_method() != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    os.environ[worker_imports.NAMED_IN] = " ".join(modules)
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        [worker_imports.__name__]
    )
    resource_tracker.ensure_running()  # else it is started within, and lets Ctrl-C in
    # The template never hears of Ctrl-C, which is for the program; we do right after.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
