"""One decoded picture, in the decoder's own format until its colours are asked for."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, converted when asked."""

    frame: VideoFrame
    aspect: Fraction | None = None
    """Width of a pixel over its height, where the file says."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed: rotated, with square pixels."""
        width, height = self._square_px()
        return (height, width) if self.frame.rotation % 180 else (width, height)

    def rgb(
        self, longer_px: int | None = None
    ) -> UInt8[np.ndarray, "height width rgb"]:
        """Give the displayed picture, or a copy reduced to a longer side."""
        width, height = self._square_px()
        if longer_px is not None and longer_px < max(width, height):
            scale = longer_px / max(width, height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        converted = self.frame.reformat(
            width=width, height=height, format="rgb24", interpolation="AREA"
        )
        turns = round(self.frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), turns))

    def _square_px(self) -> tuple[int, int]:
        wide = self.aspect if self.aspect and 0.2 < self.aspect < 5 else 1
        return round(self.frame.width * wide), self.frame.height
