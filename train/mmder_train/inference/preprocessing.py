"""Preprocess new clips as mmder-prep does, in a separate process.

The process computes with one thread, like the workers that make a store, so that equal
files result in equal bytes. If a decoder crashes, only that process ends, and only the
clip that it was reading is lost.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rich.console import Console

from mmder_store.errors import MmderError, SettingsError
from mmder_store.settings import PrepSettings

if TYPE_CHECKING:
    from mmder_prep.media.clip import Clip
    from mmder_prep.pipeline.progress import ClipProgress

PREFETCH = 8
"""Number of clips that are submitted before the result of the first one is used."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment variables of the process."""


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


def prepare_clips(
    clips: Sequence["Clip"],
    settings: PrepSettings,
    *,
    progress: Callable[[str], None] | None = None,
) -> Iterator[PreparedClip]:
    """Preprocess clips in order, and prepare the next ones while one is used.

    Args:
        clips: Clips from `find_clips`.
        settings: Preprocessing settings of the store.
        progress: Function that is called with the status of each clip when it is ready.

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
        with _prep_process(settings) as process:
            pending: deque[Future[PreparedClip]] = deque()
            try:
                while remaining:
                    for clip in list(remaining)[len(pending) : PREFETCH]:
                        pending.append(process.submit(_prepare, clip, settings))
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
def _prep_process(settings: PrepSettings) -> Iterator[ProcessPoolExecutor]:
    """Start the process, and load there the code and weights that every clip needs."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    process = ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_ignore_sigint
    )
    try:
        os.environ.update(ONE_THREAD)
        process.submit(_warm_up, settings).result()
    except ImportError as error:
        process.shutdown()
        msg = (
            f"predict: needs {error.name} to read media files, which is not installed. "
            'Run pip install "mmder[prep]".'
        )
        raise SettingsError(msg) from error
    except BrokenProcessPool as error:
        msg = "predict: the process that prepares clips ended while it started"
        raise MmderError(msg) from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    try:
        yield process
    finally:
        process.shutdown(cancel_futures=True)


def _ignore_status(status: str) -> None:
    """Do nothing with the status of a clip."""


def _ignore_sigint() -> None:
    """Ignore Ctrl-C, because the main program ends this process itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    return PreparedClip(
        clip_id=clip.clip_id, status=row.status, reason=row.reason, arrays=row.arrays
    )


def _failed(clip: "Clip", reason: str) -> PreparedClip:
    return PreparedClip(clip_id=clip.clip_id, status="failed", reason=reason, arrays={})
