"""New clips prepared as those of a store are: by mmder_prep, in a process of its own.

The process computes with one thread, as the workers that make a store, so that equal
files give equal bytes. A decoder that crashes takes that process with it and no more.
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
"""Clips that are given out before the first of them is taken."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedClip:
    """What a clip became."""

    clip_id: str
    status: str
    """One of `schema.STATUSES`."""
    reason: str
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of a row of the store; none where it failed."""


def prepare_clips(
    clips: Sequence["Clip"],
    settings: PrepSettings,
    *,
    tick: Callable[[str], None] = lambda _status: None,
) -> Iterator[PreparedClip]:
    """Prepare clips one by one, and the next while one is used.

    Args:
        clips: From `listed`.
        settings: Those of the store.
        tick: Called with the status of each clip as it is ready.

    Yields:
        Each clip in its order; one that cannot be prepared, with the reason.

    Raises:
        SettingsError: If what prepares clips is not installed.
        MmderError: If the process cannot even start.
    """
    left = deque(clips)
    while left:
        with _process(settings) as process:
            given: deque[Future[PreparedClip]] = deque()
            try:
                while left:
                    for clip in list(left)[len(given) : PREFETCH]:
                        given.append(process.submit(_prepare, clip, settings))
                    made = given[0].result()
                    given.popleft()
                    left.popleft()
                    tick(made.status)
                    yield made
            except BrokenProcessPool:
                tick("failed")
                yield _failed(left.popleft(), "its decoder ended the process")


def progress(total: int, console: Console) -> "ClipProgress":
    """Give what counts clips: a bar on a terminal, a line now and then in a log."""
    from mmder_prep.pipeline.progress import ClipProgress

    return ClipProgress(total, console)


@contextmanager
def _process(settings: PrepSettings) -> Iterator[ProcessPoolExecutor]:
    """Start the process, and load there what every clip needs."""
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
            f"predict: prepares clips itself, and {error.name} is not installed. "
            'Say pip install "mmder[prep]".'
        )
        raise SettingsError(msg) from error
    except BrokenProcessPool as error:
        msg = "predict: the process that prepares clips ended as it started"
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


def _ignore_sigint() -> None:
    """Leave Ctrl-C to the program, which then ends this process."""
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
    except Exception as error:  # one clip, however odd, never stops the others
        return _failed(clip, f"unexpected {type(error).__name__}: {error}")
    return PreparedClip(
        clip_id=clip.clip_id, status=row.status, reason=row.reason, arrays=row.arrays
    )


def _failed(clip: "Clip", reason: str) -> PreparedClip:
    return PreparedClip(clip_id=clip.clip_id, status="failed", reason=reason, arrays={})
