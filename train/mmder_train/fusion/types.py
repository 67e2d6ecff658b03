"""TODO."""

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Frames = UInt8[Tensor, "clip frame 224 224 3"]
Spectrograms = Float[Tensor, "clip window frequency time"]
Input = Float[Tensor, "clip 3 16 224 224"]
OutputView = Float[Tensor, "clip 3 frame height 224"]
Permutation = Int64[Tensor, "clip place"]
NUM_FRAMES = 16
"""Frames that the encoder takes."""
SIDE_PX = 224
