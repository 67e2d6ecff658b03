"""Facts about a file that are measured on its packets before it is decoded."""

import numpy as np
from av.error import FFmpegError

from mmder_prep.media.container import file_start_s, open_media, packets
from mmder_prep.media.frame_times import (
    packet_end_s,
    packet_time_s,
    stores_presentation_times,
)
from mmder_prep.media.stream_choice import choose_streams
from mmder_prep.media.types import DecodeRequest
from mmder_prep.timeline import spread_step
from mmder_store.errors import MediaError

MAX_SPREAD_S = 600.0
"""Maximum duration over which 16 frames are spread; all of the clip's audio is then in
memory at once."""
MAX_DELAY = 16
"""Maximum reorder delay of any codec, in packets."""
MAX_PROBED_PACKETS = 300
"""Number of packets in which the first frame is searched."""
NO_TIMES = (
    "a raw stream without time stamps; put it into a container, for example with "
    "'ffmpeg -framerate FPS -i IN -c copy OUT.mp4'"
)


def find_step_s(request: DecodeRequest) -> float:
    """Return the step of the target times, from the settings or from the duration."""
    if request.schedule is not None:
        return request.schedule.step_s
    if request.settings.step_s is not None:
        return request.settings.step_s
    stop_s = request.segment.stop_s
    if stop_s is None or not np.isfinite(stop_s):
        stop_s = _file_end_s(request)
    duration_s = stop_s - (request.segment.start_s or 0.0)
    if duration_s <= 0:
        msg = f"it ends at {stop_s:.3f} s, before the clip starts"
        raise MediaError(msg)
    if duration_s > MAX_SPREAD_S:
        msg = (
            f"{duration_s:.0f} s to spread 16 frames over, at most "
            f"{MAX_SPREAD_S:.0f}; state where the clip starts and stops"
        )
        raise MediaError(msg)
    return spread_step(duration_s, request.settings)


def _file_end_s(request: DecodeRequest) -> float:
    """Return the end of a file from the time stamps of its packets, undecoded."""
    with open_media(request.source) as container:
        video, audio = choose_streams(
            container,
            want_video=request.want_video,
            want_audio=request.want_audio,
            ranks=request.ranks,
        )
        by_dts = video is not None and not stores_presentation_times(container)
        ends_s = [
            end_s
            for packet in packets(container, [video or audio])
            if (end_s := packet_end_s(packet, by_dts=by_dts)) is not None
        ]
        if not ends_s:
            raise MediaError(NO_TIMES)
        return max(ends_s) - file_start_s(container) + request.offset_s


def first_frame_s(request: DecodeRequest) -> float:
    """Return the time of the first frame of a file, undecoded."""
    with open_media(request.source) as container:
        video, _ = choose_streams(
            container, want_video=True, want_audio=False, ranks=request.ranks
        )
        by_dts = not stores_presentation_times(container)
        for packet in packets(container, [video]):
            time_s = packet_time_s(packet, by_dts=by_dts)
            if time_s is not None:
                return time_s - file_start_s(container)
    return 0.0


def reorder_delay(request: DecodeRequest) -> int:
    """Return the reorder delay of the decoder, measured at the start of a file.

    It is the number of packets between the first key frame and the packet for which the
    decoder returns it. Without a packet marked as a key frame, the first counts as one.
    """
    with open_media(request.source) as container:
        video, _ = choose_streams(
            container, want_video=True, want_audio=False, ranks=request.ranks
        )
        first, key = 0, False
        for index, packet in enumerate(packets(container, [video])):
            if packet.is_keyframe and not key:
                first, key = index, True
            try:
                decoded = packet.decode()
            except (FFmpegError, ValueError):
                first, key = index + 1, False
                continue
            if decoded:
                return min(index - first, MAX_DELAY)
            if index >= MAX_PROBED_PACKETS:
                break
    return 0
