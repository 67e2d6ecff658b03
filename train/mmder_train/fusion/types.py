"""Tensor types and sizes that the fusion modules share."""

from typing import Literal

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Frames = UInt8[Tensor, "clip frame 224 224 3"]
"""Stored frames of a batch, 8-bit RGB."""
Spectrograms = Float[Tensor, "clip window frequency time"]
"""Stored spectrograms of a batch, one per audio window, in decibels."""
Input = Float[Tensor, "clip 3 16 224 224"]
"""The encoder's input X, normalized."""
OutputView = Float[Tensor, "clip 3 frame height 224"]
"""The part of an input that one modality is written to."""
Permutation = Int64[Tensor, "clip position"]
"""Order of the 16 frames of each clip: the source frame of each position."""
Modality = Literal["video", "audio"]
MODALITIES: tuple[Modality, Modality] = ("video", "audio")
NUM_FRAMES = 16
"""Number of frames in an encoder input."""
SIDE_PX = 224
"""Height and width of a frame."""
