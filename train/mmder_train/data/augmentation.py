"""Random augmentation of training clips.

Pure functions on tensors, on the tensors' device, with random numbers from torch's
generator of that device. All frames and windows of a clip are changed alike. Changes
apply to the stored values, before spectrograms are rendered: no spectrogram is
flipped, cropped, recolored or erased, and time keeps its order.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmder_train.data.image_transforms import crop, erase, flip, jitter
from mmder_train.fusion.mel import MELS, mel_edges_hz
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.types import Frames, Spectrograms

GAIN_DB = 4.0
"""Maximum gain: loudness changes by at most this, up or down."""
WARP = 0.12
"""Maximum warp: frequencies are multiplied by a factor from 1 - WARP to 1 + WARP."""
MASKS = 2
"""Number of frequency masks, and of time masks, per clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Strength of each random change. The defaults change nothing."""

    gain_db: float = 0.0
    """Maximum change of loudness, up or down."""
    warp: float = 0.0
    """Maximum change of the factor of all frequencies, around 1."""
    mask: float = 0.0
    """Maximum fraction of the frequencies, or of the clip's time, that a mask hides."""
    flip: float = 0.0
    """Probability that the faces are mirrored left to right."""
    crop: float = 1.0
    """Minimum fraction of an image's area that is kept and enlarged."""
    jitter: float = 0.0
    """Maximum change of the factors of brightness, contrast and saturation, around 1.
    """
    erase: float = 0.0
    """Probability that a box of the faces is erased."""

    def apply(
        self,
        frames: Frames | None,
        spectrograms: Spectrograms | None,
        *,
        settings: RenderSettings,
    ) -> tuple[Frames | None, Spectrograms | None]:
        """Return augmented clips, in the form that `fusion.fuse` takes.

        Args:
            frames: Stored faces. The result has the same type.
            spectrograms: Stored spectrograms. `gain_db` and `warp` must be 0 if they
                are MFCCs.
            settings: Settings of the later rendering. Masks are drawn on its scale.
        """
        if spectrograms is not None and (self.gain_db or self.warp):
            spectrograms = augment(spectrograms, gain_db=self.gain_db, warp=self.warp)
        if spectrograms is not None and self.mask:
            spectrograms = mask_spectrograms(
                spectrograms, fraction=self.mask, settings=settings
            )
        if frames is not None and self.flip:
            frames = flip(frames, probability=self.flip)
        if frames is not None and self.crop < 1:
            frames = crop(frames, min_area=self.crop)
        if frames is not None and self.jitter:
            frames = jitter(frames, strength=self.jitter)
        if frames is not None and self.erase:
            frames = erase(frames, probability=self.erase)
        return frames, spectrograms


_AUDIO = {"gain_db": GAIN_DB, "warp": WARP}
_VIDEO = {"flip": 0.5, "crop": 0.7, "jitter": 0.2}
AUGMENTATIONS = {
    "none": Augmentation(),
    "audio": Augmentation(**_AUDIO),
    "video": Augmentation(**_VIDEO),
    "all": Augmentation(**_AUDIO, **_VIDEO),
}


def augment(
    stft: Float[Tensor, "clip window bin time"],
    *,
    gain_db: float = GAIN_DB,
    warp: float = WARP,
) -> Float[Tensor, "clip window bin time"]:
    """Change the loudness and the vocal tract length of each clip at random.

    The factor of a clip's frequencies is drawn uniformly (vocal tract length
    perturbation; Jaitly and Hinton, 2013), and so is its gain in decibels.
    """
    gain, shift = torch.rand(2, len(stft), device=stft.device).mul(2).sub(1)
    amplified = stft.float() + gain_db * gain[:, None, None, None]
    return warp_frequencies(amplified, factor=1 + warp * shift)


def warp_frequencies(
    stft: Float[Tensor, "clip window bin time"], *, factor: Float[Tensor, " clip"]
) -> Float[Tensor, "clip window bin time"]:
    """Multiply the frequencies of each clip by its factor.

    Values between two bins are interpolated linearly. Bins above the last take its
    value.
    """
    top = stft.shape[2] - 1
    bins = torch.arange(top + 1, device=stft.device)
    position = (bins / factor[:, None]).clamp(max=top)
    below = position.long().clamp(max=top - 1)
    weight = (position - below)[:, :, None, None]
    clip = torch.arange(len(stft), device=stft.device)[:, None]
    # Indexing on both sides of the window axis moves the bin axis before it.
    warped = stft[clip, :, below].lerp(stft[clip, :, below + 1], weight)
    return warped.transpose(1, 2)


def mask_spectrograms(
    spectrograms: Spectrograms, *, fraction: float, settings: RenderSettings
) -> Float[Tensor, "*spectrograms"]:
    """Mask ranges of each clip's frequencies and of its time (SpecAugment, 2019).

    Frequencies are masked in all windows. Time is that of the clip: windows overlap by
    half, and an instant is masked in both windows that contain it. Masked values become
    the mean of their window, so the window's range of colors stays the same or becomes
    narrower. The mean leaves out the first row, because the loudness in an MFCC is not
    rendered.
    """
    clips, windows, rows, columns = spectrograms.shape
    step = (columns - 1) // 2
    time = torch.linspace(
        0, 1, (windows - 1) * step + columns, device=spectrograms.device
    )
    frequency = _row_heights_on(spectrograms.device, rows, settings)
    masked = (
        _draw_masks(frequency, clips, fraction)[:, None, :, None]
        | _draw_masks(time, clips, fraction).unfold(1, columns, step)[:, :, None]
    )
    values = spectrograms.float()
    mean = values[:, :, 1:].mean((2, 3), keepdim=True)
    return torch.where(masked, mean, values)


def _draw_masks(
    axis: Float[Tensor, " position"], clips: int, fraction: float
) -> Bool[Tensor, "clip position"]:
    """Draw ranges of [0, 1] for each clip and return the positions inside them."""
    drawn = torch.rand(2, clips, MASKS, 1, device=axis.device)
    length = drawn[0] * fraction
    first = drawn[1] * (1 - length)
    return ((axis >= first) & (axis < first + length)).any(1)


@cache
def _row_heights_on(
    device: torch.device, rows: int, settings: RenderSettings
) -> Float[Tensor, " row"]:
    """Return the heights of rows on a device, copied to it once."""
    return _row_heights(rows, settings).to(device)


@cache
def _row_heights(rows: int, settings: RenderSettings) -> Float[Tensor, " row"]:
    """Return the height in the image, in [0, 1], of each stored row."""
    position = torch.linspace(0, 1, rows)
    if settings.spectrogram != "mel":
        return position
    edge_hz = mel_edges_hz(settings.sample_rate_hz)
    height = np.linspace(0, 1, MELS + 2)
    hz = position.double().numpy() * settings.sample_rate_hz / 2
    return torch.from_numpy(np.interp(hz, edge_hz, height)).to(position)
