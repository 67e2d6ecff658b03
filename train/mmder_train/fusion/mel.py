"""Mel bands on Slaney's scale; mel spectrograms and MFCCs from a stored STFT."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

MELS = 64
"""Number of mel bands."""
MFCCS = 40
"""Number of cepstral coefficients."""


def mel_edges_hz(sample_rate_hz: int) -> Float64[np.ndarray, " edge"]:
    """Return the edges and peaks of 64 overlapping mel bands: 66 frequencies.

    Band k begins at frequency k, peaks at frequency k + 1 and ends at frequency k + 2.
    The frequencies are evenly spaced on Slaney's scale (Auditory Toolbox, 1998). The
    scale is linear up to 1 kHz, and has 27 steps per factor of 6.4 above it.
    """
    top_hz = sample_rate_hz / 2
    step, corner_hz, corner = 200 / 3, 1000.0, 15.0
    factor = np.log(6.4) / 27
    top = (
        top_hz / step
        if top_hz < corner_hz
        else corner + np.log(top_hz / corner_hz) / factor
    )
    mel = np.linspace(0, top, MELS + 2)
    high = corner_hz * np.exp(factor * (mel - corner))
    return np.where(mel < corner, mel * step, high)


@cache
def mel_bands(bins: int, sample_rate_hz: int) -> Float[Tensor, "mel bin"]:
    """Return the weight of every STFT bin in each of 64 mel bands.

    A band is a triangle whose weights sum to 1. Its power is the weighted mean of the
    power of its bins.
    """
    weight = _triangles(bins, sample_rate_hz)
    return torch.from_numpy(weight / weight.sum(axis=1, keepdims=True)).float()


def mel(
    stft: Float[Tensor, "clip window bin time"], *, sample_rate_hz: int
) -> Float[Tensor, "clip window mel time"]:
    """Compute the mel spectrogram of an STFT, both in decibels."""
    bands = _bands_on(stft.device, stft.shape[2], sample_rate_hz)
    return (bands @ torch.pow(10.0, stft / 10)).log10() * 10


@cache
def _bands_on(
    device: torch.device, bins: int, sample_rate_hz: int
) -> Float[Tensor, "mel bin"]:
    """Return the bands on a device, copied to it once."""
    return mel_bands(bins, sample_rate_hz).to(device)


def mfcc(
    stft: Float[Tensor, "clip window bin time"], *, sample_rate_hz: int
) -> Float[Tensor, "clip window coefficient time"]:
    """Compute 40 cepstral coefficients of an STFT in decibels, from the 0th.

    They are those of the store, except for audio near the floor of -100 dB: the
    orthonormal discrete cosine transform (DCT-II) of bands whose area is 1.
    """
    dct, area_db = _cepstrum_on(stft.device, stft.shape[2], sample_rate_hz)
    return dct @ (mel(stft, sample_rate_hz=sample_rate_hz) + area_db[:, None])


@cache
def _cepstrum_on(
    device: torch.device, bins: int, sample_rate_hz: int
) -> tuple[Float[Tensor, "coefficient mel"], Float[Tensor, " mel"]]:
    """Return the cosine transform and the band areas on a device, copied to it once."""
    area_db = _band_area_db(bins, sample_rate_hz)
    return _dct_matrix().to(device), area_db.to(device)


def _triangles(bins: int, sample_rate_hz: int) -> Float64[np.ndarray, "mel bin"]:
    """Return the weight of every STFT bin in each band: 1 at the band's peak."""
    edge_hz = mel_edges_hz(sample_rate_hz)
    low, mid, last = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    bin_hz = np.linspace(0, sample_rate_hz / 2, bins)
    sides = (bin_hz - low) / (mid - low), (last - bin_hz) / (last - mid)
    weight: Float64[np.ndarray, "mel bin"] = np.minimum(*sides).clip(min=0)
    return weight


@cache
def _band_area_db(bins: int, sample_rate_hz: int) -> Float[Tensor, " mel"]:
    """Return the level of bands with an area of 1, relative to weights with sum 1."""
    edge_hz = mel_edges_hz(sample_rate_hz)
    area = (
        _triangles(bins, sample_rate_hz).sum(axis=1) * 2 / (edge_hz[2:] - edge_hz[:-2])
    )
    return torch.from_numpy(10 * np.log10(area)).float()


@cache
def _dct_matrix() -> Float[Tensor, "coefficient mel"]:
    number, band = np.arange(MFCCS)[:, None], np.arange(MELS)
    cosine = np.cos(np.pi * number * (2 * band + 1) / (2 * MELS)) * np.sqrt(2 / MELS)
    cosine[0] /= np.sqrt(2)
    return torch.from_numpy(cosine).float()
