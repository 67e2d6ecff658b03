"""Presentation times of decoded frames, also of files that store only decoding times.

AVI has no presentation times. FFmpeg guesses them, and the guess is wrong if frames are
stored in another order than they are shown (B-frames, packed bitstreams). The decoder
however returns frames in the order in which they are shown. It returns a frame late, by
the number of packets that it needs to restore that order: its reorder delay. So the
frame that is returned for packet ``j`` is shown at the decoding time of packet
``j - delay``.
"""

from bisect import bisect_left
from fractions import Fraction
from typing import Any

from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

DECODING_TIMES_ONLY = frozenset({"avi"})
"""Containers that store no presentation times."""


class DisorderedTimesError(Exception):
    """The presentation times go back, and the decoding times do not."""


def stores_presentation_times(container: InputContainer) -> bool:
    """Return whether the container stores presentation times."""
    return container.format.name not in DECODING_TIMES_ONLY


def seconds(ticks: int | None, base: Fraction | None) -> float | None:
    """Return a time stamp in seconds, None if it is missing."""
    # The same number as that of the fraction ticks * base, without creating one.
    if ticks is None or base is None:
        return None
    return ticks * base.numerator / base.denominator


def timestamp_s(stamped: "Packet[Any] | VideoFrame | AudioFrame") -> float | None:
    """Return the presentation time, None if there is no time stamp."""
    return seconds(stamped.pts, stamped.time_base)


def packet_time_s(packet: "Packet[Any]", *, by_dts: bool) -> float | None:
    """Return the time of a packet, None if it has no time stamp.

    Args:
        packet: The packet.
        by_dts: Use the decoding time instead of the presentation time.
    """
    return seconds(packet.dts if by_dts else packet.pts, packet.time_base)


def packet_end_s(packet: "Packet[Any]", *, by_dts: bool) -> float | None:
    """Return the time at which a packet ends, None if it has no time stamp."""
    begin_s = packet_time_s(packet, by_dts=by_dts)
    if begin_s is None:
        return None
    return begin_s + (seconds(packet.duration or 0, packet.time_base) or 0.0)


class FrameClock:
    """Presentation times of frames, from presentation or from decoding times."""

    def __init__(self, *, by_dts: bool, delay: int = 0) -> None:
        """Create a clock that has seen no packet.

        Args:
            by_dts: Use the decoding times.
            delay: Reorder delay of the decoder, in packets.
        """
        self.by_dts, self._delay = by_dts, delay
        self._packets: list[int] = []
        """Decoding times of the packets so far, ascending."""
        self._trigger = -1
        """Index of the packet for which the last frame was returned."""
        self._last: tuple[int, int] | None = None
        """Presentation and decoding time of the last frame."""

    def sent(self, packet: "Packet[Any]") -> None:
        """Record a video packet that is about to be decoded."""
        if not self.by_dts or not packet.size or packet.dts is None:
            return
        if not self._packets or packet.dts > self._packets[-1]:
            self._packets.append(packet.dts)

    def frame_s(self, frame: VideoFrame) -> float | None:
        """Return the time of the next decoded frame, None if it has no time stamp.

        Raises:
            DisorderedTimesError: If presentation times are used and go back, while the
                decoding times do not.
        """
        ticks = self._by_packet(frame) if self.by_dts else frame.pts
        if not self.by_dts and ticks is not None and frame.dts is not None:
            if self._last and ticks <= self._last[0] and frame.dts > self._last[1]:
                raise DisorderedTimesError
            self._last = ticks, frame.dts
        return seconds(ticks, frame.time_base)

    def _by_packet(self, frame: VideoFrame) -> int | None:
        """Return the decoding time of the packet that precedes by the delay."""
        if frame.dts is None:  # returned after the last packet
            self._trigger += 1
        else:
            self._trigger = bisect_left(self._packets, frame.dts)
        index = self._trigger - self._delay
        if not self._packets or index < 0:
            return None
        beyond = max(0, index - len(self._packets) + 1)
        return self._packets[index - beyond] + beyond * self._mean_step()

    def _mean_step(self) -> int:
        count = len(self._packets) - 1
        return round((self._packets[-1] - self._packets[0]) / count) if count else 1
