"""A decoded frame that stays in the decoder's format until a part of it is needed."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the displayed frame; half-open."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One decoded frame, converted to RGB on demand."""

    coded: VideoFrame
    """The frame in the format and orientation of the decoder."""
    aspect: Fraction | None = None
    """Width of a pixel divided by its height, None if the file does not state it."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed: rotated, with square pixels."""
        width, height = round(self.coded.width * self.stretch), self.coded.height
        return (height, width) if self.turns % 2 else (width, height)

    @property
    def turns(self) -> int:
        """Number of anticlockwise quarter turns from the coded to the displayed frame.

        A file may state any angle, and damaged files do. The angle is rounded to the
        nearest quarter turn.
        """
        return round(self.coded.rotation / 90) % 4

    @property
    def stretch(self) -> Fraction | int:
        """Factor by which the width is scaled to obtain square pixels."""
        return self.aspect if self.aspect and 0.2 < self.aspect < 5 else 1

    def rgb(
        self, longer_px: int | None = None
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Return the displayed frame, or a copy reduced to a longer side."""
        whole = (0, 0, *self.size_px)
        return CropResizer(whole, reduced_size(self.size_px, longer_px)).view(self)


def reduced_size(size_px: tuple[int, int], longer_px: int | None) -> tuple[int, int]:
    """Return the size reduced to a maximum longer side; small sizes are kept."""
    scale = min(1.0, longer_px / max(size_px)) if longer_px else 1.0
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


class CropResizer:
    """Crops one rectangle out of frames and resizes it to one size, in RGB.

    Nothing outside the rectangle is converted. The objects for cropping and resizing
    are created for the first frame and reused for later ones, so use one resizer for
    many frames.
    """

    def __init__(self, rectangle_px: Rectangle, size_px: tuple[int, int]) -> None:
        """Create a resizer.

        Args:
            rectangle_px: Region to crop; it may extend beyond the frames.
            size_px: Width and height of the result.
        """
        self.rectangle_px, self.size_px = rectangle_px, size_px
        self._reformatter = VideoReformatter()
        self._graph_key: tuple[int | str, ...] = ()
        self._graph: Graph | None = None

    def view(self, frame: DecodedFrame) -> UInt8[np.ndarray, "height width rgb"]:
        """Return the region of a frame, black outside of it. Area interpolation."""
        left, top, right, bottom = self.rectangle_px
        width, height = frame.size_px
        inside = (max(0, left), max(0, top), min(width, right), min(height, bottom))
        if inside == self.rectangle_px:
            return self._convert(frame, inside, self.size_px)
        canvas = np.zeros((self.size_px[1], self.size_px[0], 3), dtype=np.uint8)
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            return canvas
        scale_x = self.size_px[0] / (right - left)
        scale_y = self.size_px[1] / (bottom - top)
        x0, x1 = (round((x - left) * scale_x) for x in inside[::2])
        y0, y1 = (round((y - top) * scale_y) for y in inside[1::2])
        if x0 < x1 and y0 < y1:
            canvas[y0:y1, x0:x1] = self._convert(frame, inside, (x1 - x0, y1 - y0))
        return canvas

    def _convert(
        self, frame: DecodedFrame, inside: Rectangle, size_px: tuple[int, int]
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Return a rectangle within the frame at a size."""
        turns = frame.turns
        width, height = size_px[::-1] if turns % 2 else size_px
        converted = self._reformatter.reformat(
            self._crop(frame.coded, _coded_rectangle(frame, inside, turns)),
            width=width,
            height=height,
            format="rgb24",
            interpolation="AREA",
        )
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), turns))

    def _crop(self, frame: VideoFrame, rectangle: Rectangle) -> VideoFrame:
        """Crop a coded frame without copying it."""
        left, top, right, bottom = rectangle
        if (right - left, bottom - top) == (frame.width, frame.height):
            return frame
        key = (frame.width, frame.height, frame.format.name, *rectangle)
        if self._graph is None or self._graph_key != key:
            self._graph, self._graph_key = Graph(), key
            options = f"{right - left}:{bottom - top}:{left}:{top}:exact=1"
            self._graph.link_nodes(
                self._graph.add_buffer(
                    width=frame.width,
                    height=frame.height,
                    format=frame.format,
                    time_base=frame.time_base or Fraction(1, 1000),
                ),
                self._graph.add("crop", options),
                self._graph.add("buffersink"),
            ).configure()
        self._graph.push(frame)
        cropped = self._graph.pull()
        assert isinstance(cropped, VideoFrame)
        return cropped


def _coded_rectangle(
    frame: DecodedFrame, displayed: Rectangle, turns: int
) -> Rectangle:
    """Return a displayed rectangle in pixels of the coded frame."""
    left, top, right, bottom = displayed
    width, height = frame.size_px
    if turns == 1:  # anticlockwise: the coded right edge is displayed at the top
        left, top, right, bottom = height - bottom, left, height - top, right
    elif turns == 2:
        left, top, right, bottom = (
            width - right,
            height - bottom,
            width - left,
            height - top,
        )
    elif turns == 3:
        left, top, right, bottom = top, width - right, bottom, width - left
    stretch = frame.stretch
    left = round(left / stretch)
    right = min(round(right / stretch), frame.coded.width)
    left = max(0, min(left, right - 1))
    return left, top, max(right, left + 1), bottom
