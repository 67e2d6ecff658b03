"""Which pictures need no decoding: nobody asks for them, and no other refers to them.

Of the second the decoder knows, of the first it is told before each packet. Half of the
pictures of a usual H.264 file are such, and are a third of the time of its decoding.
What is decoded is decoded as ever, so nothing that is taken changes by a bit.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Float64
from numpy import ndarray

from mmder_prep.media.container import seconds
from mmder_prep.timeline import takes_over_s

CODECS = frozenset({"h264"})
"""Decoders that know it of every single picture."""
LOOKAHEAD_PACKETS = 40
"""Packets of pictures that are looked at before one is decoded. In H.264 at most 16
pictures that are sent earlier are shown later, so the next one shown is among them."""
LOOKAHEAD_BYTES = 32 << 20


class SkippedFrameNeededError(Exception):
    """A picture was left out that is wanted after all: the file is not as it says."""


class FrameSkipper:
    """Tells a decoder which pictures to leave out, and remembers their times."""

    def __init__(self, video: VideoStream, *, zero_s: float) -> None:
        """Begin; `zero_s` is when the clip's clock begins, on that of the file."""
        self._video, self._zero_s = video, zero_s
        self._known_s: list[float] = []
        self._left_out_s: list[float] = []
        self._sure = video.codec_context.name in CODECS
        self.used = False
        """Whether any picture was left out."""

    def lookahead(self, packets: "Iterable[Packet[Any]]") -> "Iterator[Packet[Any]]":
        """Pass packets on; the times of the pictures that follow are known by then."""
        if not self._sure:
            yield from packets
            return
        held: deque[Packet[Any]] = deque()
        pictures = held_bytes = 0
        for packet in packets:
            held.append(packet)
            held_bytes += packet.size
            if packet.stream is self._video:
                pictures += 1
                self._learn(packet)
            while pictures > LOOKAHEAD_PACKETS or held_bytes > LOOKAHEAD_BYTES:
                first = held.popleft()
                held_bytes -= first.size
                pictures -= first.stream is self._video
                yield first
        yield from held

    def _learn(self, packet: "Packet[Any]") -> None:
        if not packet.size:  # the end of the stream, a packet of nothing
            return
        at_s = seconds(packet)
        if at_s is None:
            self._sure = False
            return
        at_s -= self._zero_s
        place = bisect_left(self._known_s, at_s)
        if self._known_s[place : place + 1] == [at_s]:
            self._sure = False
        self._known_s.insert(place, at_s)

    def configure(
        self,
        packet: "Packet[Any]",
        wanted_s: Float64[ndarray, " frame"] | None,
        *,
        stop_s: float,
    ) -> None:
        """Tell the decoder whether it may leave out the picture of a packet.

        Args:
            packet: About to be decoded.
            wanted_s: Instants at which pictures are taken; None while they are not
                known, or no picture was seen yet.
            stop_s: End of the clip: the last picture before it is repeated.
        """
        context, at_s = self._video.codec_context, seconds(packet)
        if not self._sure or wanted_s is None or at_s is None:
            context.skip_frame = "DEFAULT"
            return
        at_s -= self._zero_s
        needless = self._is_skippable(at_s, wanted_s, stop_s)
        context.skip_frame = "NONREF" if needless else "DEFAULT"
        if needless:
            self.used = True
            insort(self._left_out_s, at_s)

    def _is_skippable(
        self, at_s: float, wanted_s: Float64[ndarray, " frame"], stop_s: float
    ) -> bool:
        place = bisect_left(self._known_s, at_s)
        around = self._known_s[max(0, place - 1) : place + 2]
        if len(around) < 3 or around[1] != at_s or around[2] >= stop_s:
            return False
        first_s, past_s = takes_over_s(*around[:2]), takes_over_s(*around[1:])
        first, past = wanted_s.searchsorted([first_s, past_s])
        return bool(first == past)

    def skipped_before(self, before_s: float) -> list[float]:
        """Give the times of pictures left out before another, each once.

        One that others refer to was decoded all the same: it is not given when it is
        that other one.
        """
        count = bisect_left(self._left_out_s, before_s)
        found = self._left_out_s[:count]
        count += self._left_out_s[count : count + 1] == [before_s]
        del self._left_out_s[:count]
        return found
