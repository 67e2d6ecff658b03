"""Prepare long recordings, window by window, in the process that prepares clips.

The process decodes a recording once and hands over its windows one by one, so a
recording of any length takes the memory of a few windows.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mmder_store.errors import MmderError, SettingsError
from mmder_store.settings import PrepSettings
from mmder_train.inference.preprocessing import (
    PreparedClip,
    prepared_clip,
    start_process,
    wait_until_ready,
)

if TYPE_CHECKING:
    from mmder_prep.media.clip import Clip
    from mmder_prep.media.window_plan import WindowPlan
    from mmder_prep.pipeline.prepare_windows import WindowRow

PREFETCH = 3
"""Number of windows that are prepared ahead."""
_current: "list[Iterator[WindowRow]]" = []
"""Windows of the recording that the process decodes; used only in that process."""


def plan_recordings(
    clips: "Sequence[Clip]",
    settings: PrepSettings,
    *,
    every_s: float,
    window_s: float | None = None,
) -> "list[WindowPlan]":
    """Return the times of the windows of some recordings.

    Args:
        clips: Recordings from `find_clips`. Only their segment is covered.
        settings: Preprocessing settings.
        every_s: Distance between the starts of two windows.
        window_s: Length of a window, if the settings leave it to the clip.

    Raises:
        SettingsError: If a value is out of range, or a recording has its audio in a
            separate file.
    """
    from mmder_prep.media.window_plan import plan_windows

    separate = next((c.clip_id for c in clips if c.audio is not None), None)
    if separate is not None:
        msg = (
            f"--every: clip {separate!r} has its audio in a separate file; expected "
            "one file. Join them with 'ffmpeg -i VIDEO -i AUDIO -c copy OUT.mkv'."
        )
        raise SettingsError(msg)
    return [
        plan_windows(
            settings,
            every_s=every_s,
            length_s=window_s,
            first_s=clip.segment.start_s or 0.0,
            stop_s=math.inf if clip.segment.stop_s is None else clip.segment.stop_s,
        )
        for clip in clips
    ]


def prepare_recordings(
    clips: "Sequence[Clip]",
    plans: "Sequence[WindowPlan]",
    settings: PrepSettings,
    *,
    process: ProcessPoolExecutor | None = None,
) -> Iterator[PreparedClip]:
    """Yield the windows of recordings, in order.

    Args:
        clips: Recordings from `find_clips`.
        plans: Times of the windows of each, from `plan_recordings`.
        settings: Preprocessing settings of the store.
        process: Process from `start_process`. None to start one.

    Yields:
        One prepared clip per window, with the id of the recording and the bounds of the
        window. If a recording cannot be decoded to its end, its last one has the
        status ``failed`` and a reason.

    Raises:
        SettingsError: If mmder_prep or one of its dependencies is not installed.
        MmderError: If the process cannot start.
    """
    for clip, plan in zip(clips, plans, strict=True):
        with ExitStack() as stack:
            current = process or stack.enter_context(start_process())
            wait_until_ready(current, settings)
            done = 0
            try:
                for prepared in _windows(clip, plan, settings, current):
                    done += 1
                    yield prepared
            except MmderError as error:
                yield _failed(clip, plan, done, str(error))
            except BrokenProcessPool:
                process = None  # a process that ended is replaced by another
                yield _failed(clip, plan, done, "its decoder ended the process")


def _windows(
    clip: "Clip",
    plan: "WindowPlan",
    settings: PrepSettings,
    process: ProcessPoolExecutor,
) -> Iterator[PreparedClip]:
    process.submit(_open, clip, plan, settings).result()
    pending: deque[Future[PreparedClip | None]] = deque(
        process.submit(_next, clip.clip_id, settings) for _ in range(PREFETCH)
    )
    while (prepared := pending.popleft().result()) is not None:
        pending.append(process.submit(_next, clip.clip_id, settings))
        yield prepared


def _failed(clip: "Clip", plan: "WindowPlan", index: int, reason: str) -> PreparedClip:
    """Return the part of a recording that could not be prepared."""
    return PreparedClip(
        clip_id=clip.clip_id,
        status="failed",
        reason=reason,
        arrays={},
        window_s=(plan.start_s(index), math.nan),
    )


def _open(clip: "Clip", plan: "WindowPlan", settings: PrepSettings) -> None:
    """Begin to decode a recording, in the process."""
    from mmder_prep.pipeline.prepare_windows import prepare_windows

    _current[:] = [prepare_windows(clip, settings, plan, device="cpu")]


def _next(clip_id: str, settings: PrepSettings) -> PreparedClip | None:
    """Return the next window, in the process; None after the last."""
    try:
        window = next(_current[0], None)
    except MmderError:
        raise
    except Exception as error:
        msg = f"unexpected {type(error).__name__}: {error}"
        raise MmderError(msg) from error
    if window is None:
        return None
    return prepared_clip(
        clip_id, window.row, settings, window_s=(window.start_s, window.stop_s)
    )
