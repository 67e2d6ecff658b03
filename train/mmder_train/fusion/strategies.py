"""The fusion strategies: layouts of video and audio in the encoder's input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmder_train.fusion.types import NUM_FRAMES, SIDE_PX, Input

STORED_SPECTROGRAM = {
    "stft": "stft",
    "mfcc": "mfcc",
    "mel": "stft",
    "stft-mel-mfcc": "stft",
}
"""Stored array from which each type of spectrogram is rendered."""
Layout = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]
"""Function from an input to its parts for V and A, as views of the input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """A fusion strategy: an arrangement of video and audio in 16 frames."""

    name: str
    equation: str
    """Equation or table of the paper that defines it."""
    frames: Literal[0, 8, 16]
    """Number of video frames per clip."""
    windows: Literal[0, 8, 16]
    """Number of audio windows per clip."""
    layout: Layout
    """Function that returns the parts of an input for V and A, as views of it.

    A part is None if the strategy does not use it. If both parts are the same view,
    V and A are added."""
    shuffles_frames: bool = False
    """True if the 16 frames are shuffled after they are written."""

    @property
    def adds(self) -> bool:
        """True if V and A are added: both parts of the layout are the same view."""
        v, a = self.layout(torch.empty(0, 3, NUM_FRAMES, SIDE_PX, SIDE_PX))
        return v is a


def cfas(x: Input) -> tuple[Tensor, Tensor]:
    """Place the face above its spectrogram, 112 rows each: X_i = Concat(V_i, A_i)."""
    return x[:, :, :, : SIDE_PX // 2], x[:, :, :, SIDE_PX // 2 :]


def sfas(x: Input) -> tuple[Tensor, Tensor]:
    """Add the face and its spectrogram: X_i = Add(Norm(V_i), Norm(A_i)).

    Both fill the whole frame and are added as floats. Paper: "will be normalized, and
    then directly added"; the norm is not specified. We apply the encoder's own
    (`RenderSettings.image_norm`) to both, and compute the plain sum.
    """
    return x, x


def ffls(x: Input) -> tuple[Tensor, Tensor]:
    """Place all faces before all spectrograms: X = Seq(V_1 .. V_8, A_1 .. A_8)."""
    return x[:, :, :8], x[:, :, 8:]


def fslf(x: Input) -> tuple[Tensor, Tensor]:
    """Place all spectrograms before all faces: X = Seq(A_1 .. A_8, V_1 .. V_8)."""
    return x[:, :, 8:], x[:, :, :8]


def ofos(x: Input) -> tuple[Tensor, Tensor]:
    """Alternate faces and spectrograms: X = Seq(V_1, A_1 .. V_8, A_8)."""
    return x[:, :, ::2], x[:, :, 1::2]


def video(x: Input) -> tuple[Tensor, None]:
    """Use only the faces: X_i = V_i."""
    return x, None


def audio(x: Input) -> tuple[None, Tensor]:
    """Use only the spectrograms: X_i = A_i."""
    return None, x


STRATEGIES = {
    s.name: s
    for s in (
        Strategy(name="cfas", equation="eq. 1", frames=16, windows=16, layout=cfas),
        Strategy(name="sfas", equation="eq. 2", frames=16, windows=16, layout=sfas),
        Strategy(name="ffls", equation="eq. 3", frames=8, windows=8, layout=ffls),
        Strategy(name="fslf", equation="eq. 4", frames=8, windows=8, layout=fslf),
        Strategy(name="ofos", equation="eq. 5", frames=8, windows=8, layout=ofos),
        Strategy(
            name="rfas",
            equation="eq. 6",
            frames=8,
            windows=8,
            layout=ffls,
            shuffles_frames=True,
        ),
        Strategy(
            name="video", equation="table I, V", frames=16, windows=0, layout=video
        ),
        Strategy(
            name="audio", equation="table I, A", frames=0, windows=16, layout=audio
        ),
    )
}
