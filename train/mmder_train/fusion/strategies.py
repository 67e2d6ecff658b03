"""TODO."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mmder_train.fusion.types import SIDE_PX, Input

STORED_SPECTROGRAM = {"stft": "stft", "mel": "stft", "mfcc": "mfcc"}
"""Which array of the store a spectrogram is painted from."""
Layout = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """One way to put pictures and sound into sixteen frames."""

    name: str
    equation: str
    """Where the paper defines it."""
    frames: Literal[0, 8, 16]
    """Pictures taken from a clip."""
    windows: Literal[0, 8, 16]
    """Sound windows taken from a clip."""
    layout: Layout
    """Gives where V and where A lie in an input, as views of it; where both are the
    same, they are added."""
    shuffles_frames: bool = False
    """Whether the sixteen frames then change places."""


def cfas(x: Input) -> tuple[Tensor, Tensor]:
    """X_i = Concat(V_i, A_i): the face above its spectrogram, 112 rows each."""
    return x[:, :, :, : SIDE_PX // 2], x[:, :, :, SIDE_PX // 2 :]


def sfas(x: Input) -> tuple[Tensor, Tensor]:
    """X_i = Add(Norm(V_i), Norm(A_i)), in float: both lie everywhere.

    Paper: "will be normalized, and then directly added"; which norm is open. We take
    the encoder's own (`Look.statistics`) for both, and the plain sum.
    """
    return x, x


def ffls(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(V_1 .. V_8, A_1 .. A_8): all faces, then all spectrograms."""
    return x[:, :, :8], x[:, :, 8:]


def fslf(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(A_1 .. A_8, V_1 .. V_8): all spectrograms, then all faces."""
    return x[:, :, 8:], x[:, :, :8]


def ofos(x: Input) -> tuple[Tensor, Tensor]:
    """X = Seq(V_1, A_1 .. V_8, A_8): a face and its spectrogram in turn."""
    return x[:, :, ::2], x[:, :, 1::2]


def video(x: Input) -> tuple[Tensor, None]:
    """X_i = V_i: the faces alone."""
    return x, None


def audio(x: Input) -> tuple[None, Tensor]:
    """X_i = A_i: the spectrograms alone."""
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
