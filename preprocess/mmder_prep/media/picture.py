"""One decoded picture, in the decoder's own format until a part of it is asked for."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the displayed picture; half-open."""


@dataclass(frozen=True, slots=True)
class VideoPicture:
    """One decoded picture, converted when asked."""

    frame: VideoFrame
    aspect: Fraction | None = None
    """Width of a pixel over its height, where the file says."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed: rotated, with square pixels."""
        width, height = round(self.frame.width * self.wide), self.frame.height
        return (height, width) if self.turns % 2 else (width, height)

    @property
    def turns(self) -> int:
        """Give the quarter turns, anticlockwise, from what is coded to what is shown.

        A file may name any angle; damaged ones do. The nearest quarter is taken.
        """
        return round(self.frame.rotation / 90) % 4

    @property
    def wide(self) -> Fraction | int:
        """Give what the width is stretched by to make pixels square."""
        return self.aspect if self.aspect and 0.2 < self.aspect < 5 else 1

    def rgb(
        self, longer_px: int | None = None
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Give the displayed picture, or a copy reduced to a longer side."""
        whole = (0, 0, *self.size_px)
        return CropResizer(whole, reduced(self.size_px, longer_px)).view(self)


def reduced(size_px: tuple[int, int], longer_px: int | None) -> tuple[int, int]:
    """Give the size that brings a longer side down to a limit, where it is above."""
    scale = min(1.0, longer_px / max(size_px)) if longer_px else 1.0
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


class CropResizer:
    """Cuts one rectangle out of pictures and brings it to one size, in colour.

    Nothing around the rectangle is converted. What it takes to cut and to resize is
    set up with the first picture and serves those after it: use one for many.
    """

    def __init__(self, rectangle_px: Rectangle, size_px: tuple[int, int]) -> None:
        """Choose.

        Args:
            rectangle_px: What is seen; it may reach out of the pictures.
            size_px: Width and height of what is given.
        """
        self.rectangle_px, self.size_px = rectangle_px, size_px
        self._reformatter = VideoReformatter()
        self._made_for: tuple[int | str, ...] = ()
        self._graph: Graph | None = None

    def view(self, picture: VideoPicture) -> UInt8[np.ndarray, "height width rgb"]:
        """Look at a picture; outside of it all is black. Area interpolation."""
        left, top, right, bottom = self.rectangle_px
        width, height = picture.size_px
        inside = (max(0, left), max(0, top), min(width, right), min(height, bottom))
        if inside == self.rectangle_px:
            return self._part(picture, inside, self.size_px)
        black = np.zeros((self.size_px[1], self.size_px[0], 3), dtype=np.uint8)
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            return black
        across = self.size_px[0] / (right - left)
        down = self.size_px[1] / (bottom - top)
        x0, x1 = (round((x - left) * across) for x in inside[::2])
        y0, y1 = (round((y - top) * down) for y in inside[1::2])
        if x0 < x1 and y0 < y1:
            black[y0:y1, x0:x1] = self._part(picture, inside, (x1 - x0, y1 - y0))
        return black

    def _part(
        self, picture: VideoPicture, inside: Rectangle, size_px: tuple[int, int]
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Look at a rectangle that lies within the picture."""
        turns = picture.turns
        width, height = size_px[::-1] if turns % 2 else size_px
        converted = self._reformatter.reformat(
            self._cut(picture.frame, _coded(picture, inside, turns)),
            width=width,
            height=height,
            format="rgb24",
            interpolation="AREA",
        )
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), turns))

    def _cut(self, frame: VideoFrame, coded: Rectangle) -> VideoFrame:
        """Cut a frame without copying it."""
        left, top, right, bottom = coded
        if (right - left, bottom - top) == (frame.width, frame.height):
            return frame
        made_for = (frame.width, frame.height, frame.format.name, *coded)
        if self._graph is None or self._made_for != made_for:
            self._graph, self._made_for = Graph(), made_for
            place = f"{right - left}:{bottom - top}:{left}:{top}:exact=1"
            self._graph.link_nodes(
                self._graph.add_buffer(
                    width=frame.width,
                    height=frame.height,
                    format=frame.format,
                    time_base=frame.time_base or Fraction(1, 1000),
                ),
                self._graph.add("crop", place),
                self._graph.add("buffersink"),
            ).configure()
        self._graph.push(frame)
        found = self._graph.pull()
        assert isinstance(found, VideoFrame)
        return found


def _coded(picture: VideoPicture, displayed: Rectangle, turns: int) -> Rectangle:
    """Give a displayed rectangle in pixels of the frame as it is coded."""
    left, top, right, bottom = displayed
    width, height = picture.size_px
    if turns == 1:  # anticlockwise: what is coded at the right is displayed at the top
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
    wide = picture.wide
    left, right = round(left / wide), min(round(right / wide), picture.frame.width)
    left = max(0, min(left, right - 1))
    return left, top, max(right, left + 1), bottom
