"""Decode a recording of any length in one pass, as windows that slide over it."""

from collections.abc import Iterator

from mmder_prep.media.clip import Segment
from mmder_prep.media.container import open_media
from mmder_prep.media.frame_times import (
    DisorderedTimesError,
    FrameClock,
    stores_presentation_times,
)
from mmder_prep.media.probing import reorder_delay
from mmder_prep.media.source import Source
from mmder_prep.media.stream_choice import choose_streams
from mmder_prep.media.types import DecodedWindow, DecodeRequest
from mmder_prep.media.window_pass import WindowPass
from mmder_prep.media.window_plan import WindowPlan
from mmder_store.settings import PrepSettings


def read_windows(
    source: Source, settings: PrepSettings, plan: WindowPlan
) -> Iterator[DecodedWindow]:
    """Yield the windows of a recording, in order.

    Of several tracks, the best by the header is decoded, also if it is silent. A file
    whose presentation times go back is decoded a second time, by its decoding times.

    Args:
        source: The media file.
        settings: Preprocessing settings.
        plan: Times of the windows.

    Raises:
        MediaError: If nothing can be decoded, if video and audio are not interleaved,
            if the time stamps jump, or if a file claims implausible sizes.
    """
    done, by_dts = 0, False
    while True:
        try:
            for window in _read_once(source, settings, plan, by_dts=by_dts):
                # A second pass yields only what the first has not.
                if plan.index(window.start_s) >= done:
                    done = plan.index(window.start_s) + 1
                    yield window
        except DisorderedTimesError:
            by_dts = True
        else:
            return


def _read_once(
    source: Source, settings: PrepSettings, plan: WindowPlan, *, by_dts: bool
) -> Iterator[DecodedWindow]:
    request = DecodeRequest(
        source=source,
        segment=Segment(),
        settings=settings,
        want_video=settings.modality == "av",
    )
    with open_media(source) as container:
        video, audio = choose_streams(
            container, want_video=request.want_video, want_audio=True
        )
        clock = FrameClock(by_dts=by_dts)
        if video is not None and not stores_presentation_times(container):
            clock = FrameClock(by_dts=True, delay=reorder_delay(request))
        one_pass = WindowPass(container, request, plan, clock, video=video, audio=audio)
        yield from one_pass.run()
