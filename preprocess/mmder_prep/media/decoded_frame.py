"""A decoded frame that stays in the decoder's format until a part of it is needed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the displayed frame; half-open."""
UNSPECIFIED = 2
"""FFmpeg's number of a color matrix that a file does not state."""
HD_LINES = 720
"""Number of lines from which a frame is high definition."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One decoded frame, converted to RGB on demand."""

    coded: VideoFrame
    """The frame in the format and orientation of the decoder."""
    aspect: Fraction | None = None
    """Width of a pixel divided by its height, None if the file does not state it."""
    scaled_px: tuple[int, int] | None = None
    """Size to which the displayed frame is scaled: that of the first frame of the clip.
    None if the frame keeps its own size."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed: upright, with square pixels."""
        return self.scaled_px or self.own_size_px

    @property
    def own_size_px(self) -> tuple[int, int]:
        """Width and height as displayed, before it is scaled to the first frame."""
        width, height = self.coded.width, self.coded.height
        if self.aspect and 0.2 < self.aspect < 5:
            width = round(width * self.aspect)
        return (height, width) if self.orientation[1] % 2 else (width, height)

    @property
    def orientation(self) -> tuple[bool, int]:
        """Display orientation of the coded frame; see `read_orientation`."""
        data = self.coded.side_data.get("DISPLAYMATRIX")
        if not isinstance(data, SideData):
            return False, 0
        return read_orientation(np.frombuffer(bytes(data), dtype=np.int32).tolist())

    def rgb(
        self, longer_px: int | None = None
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Return the displayed frame, or a copy reduced to a longer side."""
        whole = (0, 0, *self.size_px)
        return CropResizer(whole, reduced_size(self.size_px, longer_px)).view(self)


def read_orientation(matrix: Sequence[float]) -> tuple[bool, int]:
    """Return how a display matrix turns the coded frame.

    A file may state any angle, and damaged files do. The angle is rounded to the
    nearest quarter turn.

    Args:
        matrix: The nine numbers of ISO/IEC 14496-12, 6.2.2, row by row: a pixel (x, y)
            is displayed at (a x + c y, b x + d y).

    Returns:
        True if the coded frame is first mirrored from left to right, and the number of
        anticlockwise quarter turns that follow.
    """
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # y points down, so that a positive angle is a clockwise turn.
    return mirrored, round(-math.atan2(b - c, a + d) / (math.pi / 2)) % 4


def match_sizes(
    frames: Sequence[DecodedFrame],
) -> tuple[list[DecodedFrame], str]:
    """Return frames of one size, that of the first, and a note if sizes differ.

    Frames that are one object stay one object.
    """
    first = frames[0].size_px
    others = sorted({frame.size_px for frame in frames} - {first})
    if not others:
        return list(frames), ""
    scaled = {id(frame): replace(frame, scaled_px=first) for frame in frames}
    sizes = ", ".join(f"{width} x {height}" for width, height in others)
    note = (
        f"frame size changes from {first[0]} x {first[1]} to {sizes} px; later frames "
        "are scaled to the first"
    )
    return [f if f.size_px == first else scaled[id(f)] for f in frames], note


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
        mirrored, turns = frame.orientation
        width, height = size_px[::-1] if turns % 2 else size_px
        converted = self._reformatter.reformat(
            self._crop(frame.coded, _coded_rectangle(frame, inside)),
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_colorspace(frame.coded),
            interpolation="AREA",
        )
        rgb = converted.to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb[:, ::-1] if mirrored else rgb, turns))

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


def _colorspace(coded: VideoFrame) -> Colorspace | None:
    """Return the matrix of a frame that does not state it, None if it does.

    As players do: BT.709 for high definition, BT.601 for smaller frames.
    """
    untagged = coded.colorspace == UNSPECIFIED and not coded.format.is_rgb
    return Colorspace.ITU709 if untagged and coded.height >= HD_LINES else None


def _coded_rectangle(frame: DecodedFrame, displayed: Rectangle) -> Rectangle:
    """Return a displayed rectangle in pixels of the coded frame."""
    mirrored, turns = frame.orientation
    left, top, right, bottom = (float(edge) for edge in displayed)
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
    if turns % 2:
        width, height = height, width
    if mirrored:
        left, right = width - right, width - left
    across, down = frame.coded.width / width, frame.coded.height / height
    first, last = _whole(left * across, right * across, frame.coded.width)
    upper, lower = _whole(top * down, bottom * down, frame.coded.height)
    return first, upper, last, lower


def _whole(low: float, high: float, length: int) -> tuple[int, int]:
    """Return whole pixels within a length, at least one of them."""
    last = min(round(high), length)
    first = max(0, min(round(low), last - 1))
    return first, max(last, first + 1)
