"""Preprocess new clips as mmder-prep does, in a separate process.

The process computes with one thread, like the workers that make a store, so that equal
files result in equal bytes. If a decoder crashes, only that process ends, and only the
clip that it was reading is lost.
"""

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rich.console import Console

from mmder_store.errors import MmderError, SettingsError
from mmder_store.settings import PrepSettings
from mmder_train.fusion.types import Modality

if TYPE_CHECKING:
    from mmder_prep.media.clip import Clip
    from mmder_prep.pipeline.prepare_clip import ClipRow
    from mmder_prep.pipeline.progress import ClipProgress

PREFETCH = 8
"""Number of clips that are submitted before the result of the first one is used."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment variables of the process."""
PRELOADED = (
    "librosa.core.spectrum",
    "librosa.feature.spectral",
    "mmder_prep.pipeline.prepare_clip",
    "mmder_prep.faces.mtcnn",
)
"""Modules that take seconds to import."""


TIMES = ("start_s", "stop_s", "step_s")
"""Columns of a store that a prepared clip has as fields."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedClip:
    """A preprocessed clip."""

    clip_id: str
    status: str
    """One of `mmder_store.schema.STATUSES`."""
    reason: str
    """Explanation of the status, empty if there is none."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays by name, as in one row of a store. Empty if the clip failed."""
    start_s: float = math.nan
    """Time of the first of the 16 frames. NaN if the clip failed."""
    stop_s: float = math.nan
    """End of the clip, NaN if unknown."""
    step_s: float = math.nan
    """Step between the 16 frames. NaN if the clip failed."""
    missing: tuple[Modality, ...] = ()
    """Modalities that the clip lacks: audio, or video with a face."""
    window_s: tuple[float, float] | None = None
    """Start and stop of a window of a recording, whose id `clip_id` is. None for a
    clip."""


def prepare_clips(
    clips: Sequence["Clip"],
    settings: PrepSettings,
    *,
    progress: Callable[[str], None] | None = None,
    process: ProcessPoolExecutor | None = None,
) -> Iterator[PreparedClip]:
    """Preprocess clips in order, and prepare the next ones while one is used.

    Args:
        clips: Clips from `find_clips`.
        settings: Preprocessing settings of the store.
        progress: Function that is called with the status of each clip when it is ready.
        process: Process from `start_process`. None to start one.

    Yields:
        One preprocessed clip per clip. A clip that cannot be prepared has the status
        ``failed`` and a reason.

    Raises:
        SettingsError: If mmder_prep or one of its dependencies is not installed.
        MmderError: If the process cannot start.
    """
    report = progress or _ignore_status
    remaining = deque(clips)
    while remaining:
        with ExitStack() as stack:
            current = process or stack.enter_context(start_process())
            process = None  # a process that ended is replaced by another
            wait_until_ready(current, settings)
            pending: deque[Future[PreparedClip]] = deque()
            try:
                while remaining:
                    for clip in list(remaining)[len(pending) : PREFETCH]:
                        pending.append(current.submit(_prepare, clip, settings))
                    prepared = pending[0].result()
                    pending.popleft()
                    remaining.popleft()
                    report(prepared.status)
                    yield prepared
            except BrokenProcessPool:
                report("failed")
                yield _failed(remaining.popleft(), "its decoder ended the process")


def clip_progress(total: int, console: Console) -> "ClipProgress":
    """Return a counter of clips: a bar on a terminal, a line now and then in a log."""
    from mmder_prep.pipeline.progress import ClipProgress

    return ClipProgress(total, console)


@contextmanager
def start_process() -> Iterator[ProcessPoolExecutor]:
    """Start the process that prepares clips, and yield it at once.

    It imports the libraries that every clip needs while the caller does other work. It
    is killed if the caller raises an error.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    others = {child.pid for child in active_children()}
    process = ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_ignore_sigint
    )
    os.environ.update(ONE_THREAD)
    try:
        process.submit(_preload)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    started = [child for child in active_children() if child.pid not in others]
    try:
        yield process
    except BaseException:
        process.shutdown(wait=False, cancel_futures=True)
        for child in started:
            child.kill()
        raise
    process.shutdown(cancel_futures=True)


def wait_until_ready(process: ProcessPoolExecutor, settings: PrepSettings) -> None:
    """Wait until the process has loaded the code and weights that every clip needs.

    Raises:
        SettingsError: If mmder_prep or one of its dependencies is not installed.
        MmderError: If the process ended.
    """
    try:
        process.submit(_warm_up, settings).result()
    except ImportError as error:
        msg = (
            f"predict: needs {error.name} to read media files, which is not installed. "
            'Run pip install "mmder[prep]".'
        )
        raise SettingsError(msg) from error
    except BrokenProcessPool as error:
        msg = "predict: the process that prepares clips ended while it started"
        raise MmderError(msg) from error


def _ignore_status(status: str) -> None:
    """Do nothing with the status of a clip."""


def _ignore_sigint() -> None:
    """Ignore Ctrl-C, because the main program ends this process itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _preload() -> None:
    """Import the libraries; `_warm_up` reports one that cannot be imported."""
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)


def _warm_up(settings: PrepSettings) -> None:
    from mmder_prep.pipeline.prepare_clip import warm_up

    warm_up(settings, "cpu")


def _prepare(clip: "Clip", settings: PrepSettings) -> PreparedClip:
    from mmder_prep.pipeline.prepare_clip import prepare_clip

    try:
        row = prepare_clip(clip, settings, device="cpu")
    except MmderError as error:
        return _failed(clip, str(error))
    except Exception as error:  # an unexpected error of one clip must not stop others
        return _failed(clip, f"unexpected {type(error).__name__}: {error}")
    return prepared_clip(clip.clip_id, row, settings)


def prepared_clip(
    clip_id: str,
    row: "ClipRow",
    settings: PrepSettings,
    *,
    window_s: tuple[float, float] | None = None,
) -> PreparedClip:
    """Return a row of the preparation as a preprocessed clip.

    Args:
        clip_id: Id of the clip, or of the recording.
        row: The prepared clip or window.
        settings: Preprocessing settings.
        window_s: Start and stop of a window of a recording.
    """
    times_s = {k: float(row.facts[k]) for k in TIMES if k in row.facts}
    return PreparedClip(
        clip_id=clip_id,
        status=row.status,
        reason=row.reason,
        arrays=row.arrays,
        missing=missing_modalities(row, settings),
        window_s=window_s,
        **times_s,
    )


def missing_modalities(row: "ClipRow", settings: PrepSettings) -> tuple[Modality, ...]:
    """Return the modalities that a prepared clip lacks.

    The status names only one of them if a clip has neither audio nor a face.
    """
    searched = settings.modality == "av" and settings.face_crop
    no_face = searched and not row.facts.get("faces_found")
    no_audio = math.isnan(row.facts.get("sound_rms_db", math.nan))
    missing: list[Modality] = []
    missing += ["video"] if no_face or row.status == "no_video" else []
    missing += ["audio"] if no_audio else []
    return tuple(missing)


def _failed(clip: "Clip", reason: str) -> PreparedClip:
    return PreparedClip(clip_id=clip.clip_id, status="failed", reason=reason, arrays={})
