"""Sound varied at random in training, all windows of a clip alike (pure, on tensors).

What is varied is the stored spectrogram, before it is painted: no picture is ever
flipped, and time keeps its order.
"""

import torch
from jaxtyping import Float
from torch import Tensor

GAIN_DB = 4.0
"""Loudness goes up or down by at most this."""
WARP = 0.12
"""Frequencies are multiplied by 1 minus this to 1 plus this."""


def varied(
    stft: Float[Tensor, "clip window bin time"],
) -> Float[Tensor, "clip window bin time"]:
    """Give each clip another loudness and another length of the vocal tract.

    The factor of its frequencies is drawn evenly (vocal tract length perturbation;
    Jaitly and Hinton, 2013), and so is its gain in decibels. Both come from torch's
    generator of the device.
    """
    gain_db, warp = torch.rand(2, len(stft), device=stft.device).mul(2).sub(1)
    louder = stft.float() + GAIN_DB * gain_db[:, None, None, None]
    return warped(louder, factor=1 + WARP * warp)


def warped(
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
