"""Clips varied at random in training, all frames and windows of a clip alike.

Pure, on tensors, on their device, from torch's generator of it. What is varied is what
the store holds, before sound is painted: no spectrogram is ever flipped, cropped or
given other colours, and time keeps its order.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmder_train.data.image_transforms import crop, flip, jitter
from mmder_train.fusion.mel import MELS, mel_edges_hz
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.types import Frames, Spectrograms

GAIN_DB = 4.0
"""Loudness goes up or down by at most this."""
WARP = 0.12
"""Frequencies are multiplied by 1 minus this to 1 plus this."""
MASKS = 2
"""Stretches of frequency, and of time, that are hidden of a clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How far a clip may be varied; as it stands here, not at all."""

    gain_db: float = 0.0
    """Loudness goes up or down by at most this."""
    warp: float = 0.0
    """Frequencies are multiplied by 1 minus this to 1 plus this."""
    mask: float = 0.0
    """Largest share of the frequencies, and of the clip's time, that one mask hides."""
    flip: float = 0.0
    """Chance that left and right of the faces are exchanged."""
    crop: float = 1.0
    """Smallest share of a picture's area that is kept and enlarged."""
    jitter: float = 0.0
    """Brightness, contrast and saturation are multiplied by 1 minus to 1 plus this."""

    def vary(
        self, frames: Frames | None, sound: Spectrograms | None, *, look: RenderSettings
    ) -> tuple[Frames | None, Spectrograms | None]:
        """Give stored clips varied, ready for `fusion.fused`.

        Args:
            frames: Faces, as they are stored, and as they come back.
            sound: Spectrograms; those of an mfcc have no `gain_db` and no `warp`.
            look: How sound will be painted; masks are drawn on its scale.
        """
        if sound is not None and (self.gain_db or self.warp):
            sound = augment(sound, gain_db=self.gain_db, warp=self.warp)
        if sound is not None and self.mask:
            sound = mask_spectrograms(sound, share=self.mask, look=look)
        if frames is not None and self.flip:
            frames = flip(frames, chance=self.flip)
        if frames is not None and self.crop < 1:
            frames = crop(frames, least=self.crop)
        if frames is not None and self.jitter:
            frames = jitter(frames, by=self.jitter)
        return frames, sound


_SOUND = {"gain_db": GAIN_DB, "warp": WARP}
_PICTURE = {"flip": 0.5, "crop": 0.7, "jitter": 0.2}
AUGMENTATIONS = {
    "none": Augmentation(),
    "audio": Augmentation(**_SOUND),
    "video": Augmentation(**_PICTURE),
    "all": Augmentation(**_SOUND, **_PICTURE),
}


def augment(
    stft: Float[Tensor, "clip window bin time"],
    *,
    gain_db: float = GAIN_DB,
    warp: float = WARP,
) -> Float[Tensor, "clip window bin time"]:
    """Give each clip another loudness and another length of the vocal tract.

    The factor of its frequencies is drawn evenly (vocal tract length perturbation;
    Jaitly and Hinton, 2013), and so is its gain in decibels.
    """
    louder, longer = torch.rand(2, len(stft), device=stft.device).mul(2).sub(1)
    gained = stft.float() + gain_db * louder[:, None, None, None]
    return warp_frequencies(gained, factor=1 + warp * longer)


def warp_frequencies(
    stft: Float[Tensor, "clip window bin time"], *, factor: Float[Tensor, " clip"]
) -> Float[Tensor, "clip window bin time"]:
    """Multiply each clip's frequencies, linear between bins; the top bin fills up."""
    top = stft.shape[2] - 1
    bins = torch.arange(top + 1, device=stft.device)
    place = (bins / factor[:, None]).clamp(max=top)
    below = place.long().clamp(max=top - 1)
    share = (place - below)[:, :, None, None]
    clip = torch.arange(len(stft), device=stft.device)[:, None]
    # Indexed from both sides of the windows, so bins come before windows here.
    found = stft[clip, :, below].lerp(stft[clip, :, below + 1], share)
    return found.transpose(1, 2)


def mask_spectrograms(
    sound: Spectrograms, *, share: float, look: RenderSettings
) -> Float[Tensor, "*sound"]:
    """Hide stretches of each clip's frequencies and of its time (SpecAugment, 2019).

    Frequencies are hidden in all windows. Time is the clip's own: windows overlap by
    half, and an instant is hidden in both windows that show it. Hidden values become
    their window's mean, which leaves the window's scale of colours as it was, or less
    wide. The first row is not counted in it: the loudness in an mfcc is no colour.
    """
    clips, windows, rows, columns = sound.shape
    step = (columns - 1) // 2
    time = torch.linspace(0, 1, (windows - 1) * step + columns, device=sound.device)
    hidden = (
        _stretches(_frequency(rows, look).to(sound.device), clips, share)[
            :, None, :, None
        ]
        | _stretches(time, clips, share).unfold(1, columns, step)[:, :, None]
    )
    values = sound.float()
    mean = values[:, :, 1:].mean((2, 3), keepdim=True)
    return torch.where(hidden, mean, values)


def _stretches(
    axis: Float[Tensor, " place"], clips: int, share: float
) -> Bool[Tensor, "clip place"]:
    """Draw stretches of [0, 1] for each clip; tell which places lie in one of them."""
    drawn = torch.rand(2, clips, MASKS, 1, device=axis.device)
    length = drawn[0] * share
    first = drawn[1] * (1 - length)
    return ((axis >= first) & (axis < first + length)).any(1)


def _frequency(rows: int, look: RenderSettings) -> Float[Tensor, " row"]:
    """Give the height in the picture, in [0, 1], of each stored row."""
    place = torch.linspace(0, 1, rows)
    if look.spectrogram != "mel":
        return place
    edge_hz = mel_edges_hz(look.sample_rate_hz)
    height = np.linspace(0, 1, MELS + 2)
    hz = place.double().numpy() * look.sample_rate_hz / 2
    return torch.from_numpy(np.interp(hz, edge_hz, height)).to(place)
