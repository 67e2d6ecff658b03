"""Mix the channels of a recording to one.

Surround sound is mixed according to ITU-R BS.775, without the low-frequency channel:
M = 0.7071 L + C + 0.7071 R + 0.5 Ls + 0.5 Rs. Two channels are averaged, which keeps
the level of speech that is in both. The average would cancel channels of opposite
phase, and it would halve speech that is in one channel only, so both are checked.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Shaped

HALF_POWER = float(np.sqrt(0.5))
OPPOSITE = -0.5
"""Correlation of two channels from which they count as opposite in phase. Their average
would be 6 dB below each of them."""
ONE_SIDED_DB = 20.0
"""Difference in level from which speech counts as being in one channel only."""
LEFT, RIGHT = (1.0, 0.0), (0.0, 1.0)
WEIGHTS = {
    "FL": LEFT,
    "FR": RIGHT,
    "DL": LEFT,
    "DR": RIGHT,
    "FLC": LEFT,
    "FRC": RIGHT,
    "FC": (HALF_POWER, HALF_POWER),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (HALF_POWER, 0.0),
    "BR": (0.0, HALF_POWER),
    "SL": (HALF_POWER, 0.0),
    "SR": (0.0, HALF_POWER),
    "BC": (0.5, 0.5),
}
"""Weights of a channel in the left and right sums, by its name in FFmpeg."""
USUAL_LAYOUTS = {
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Positions of channels, by their number, if a file does not state them."""


def to_sides(
    samples: Shaped[np.ndarray, "row sample"],
    names: Sequence[str],
    *,
    planar: bool,
) -> Float32[np.ndarray, "side time"]:
    """Return a decoded block as one or two channels, scaled to [-1, 1].

    The mean of two sides is the mix. Channels at unknown positions are averaged.

    Args:
        samples: Decoder output: (channel, time), or interleaved in one row.
        names: Positions of the channels, from `channel_positions`.
        planar: True for (channel, time), false for interleaved.
    """
    rows = samples if planar else samples.reshape(-1, len(names)).T
    if rows.dtype == np.uint8:
        rows = rows.astype(np.float32) / 128 - 1
    elif rows.dtype.kind == "i":
        rows = rows / np.float32(-float(np.iinfo(rows.dtype).min))
    rows = rows.astype(np.float32)
    if len(rows) <= 2:
        return rows
    if not all(name in WEIGHTS for name in names):
        return np.asarray(rows.mean(axis=0, keepdims=True, dtype=np.float32))
    weights = np.array([WEIGHTS[name] for name in names], dtype=np.float32).T
    if "FC" in names:  # the mean of the sides is then the sum of BS.775
        weights *= np.float32(np.sqrt(2))
    return np.asarray(weights @ rows, dtype=np.float32)


def channel_positions(names: Sequence[str]) -> tuple[Sequence[str], str]:
    """Return the positions of channels, and a note if the file does not state them.

    As in FFmpeg, six channels are taken as 5.1 and eight as 7.1.
    """
    if len(names) <= 2 or all(name in WEIGHTS for name in names):
        return names, ""
    many = f"{len(names)} audio channels at unknown positions"
    usual = USUAL_LAYOUTS.get(len(names))
    if usual is None or any(name != "NONE" for name in names):
        return ("NONE",) * len(names), f"{many} are averaged"
    return usual, f"{many} are taken as {len(names) - 1}.1"


def mix_sides(
    sides: Float32[np.ndarray, "side time"], *, surround: bool
) -> tuple[Float32[np.ndarray, " time"], str]:
    """Mix one or two sides to one channel.

    Args:
        sides: Result of `to_sides`, for the whole clip.
        surround: True if the sides are sums of more than two channels.

    Returns:
        The mix, and a note if it is not the mean of the sides.
    """
    if len(sides) == 1 or not sides.shape[1]:
        return sides[0], ""
    centered = sides.astype(np.float64)
    centered -= centered.mean(axis=1, keepdims=True)
    left, right = np.square(centered).sum(axis=1)
    louder = int(right > left)
    if not surround and max(left, right) > 10 ** (ONE_SIDED_DB / 10) * min(left, right):
        name = ("left", "right")[louder]
        return sides[louder], f"audio in the {name} channel only; the other is left out"
    if min(left, right) > 0:
        correlation = float(centered[0] @ centered[1] / np.sqrt(left * right))
        if correlation <= OPPOSITE:
            note = "left and right audio are opposite in phase; the right is inverted"
            return (sides[0] - sides[1]) / 2, note
    return np.asarray(sides.mean(axis=0, dtype=np.float32)), ""
