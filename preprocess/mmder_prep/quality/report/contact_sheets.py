"""Contact sheets: eight faces of a clip above the spectrogram of their audio.

Every second frame is shown, as wide as two steps of audio, centered on its own window.
The audio strip is assembled from the centers of all sixteen windows: at the edges of a
window the spectra include zero padding, which would show as a line between two faces.
"""

from functools import cache

import cv2
import numpy as np
from jaxtyping import Float16, UInt8

FACE_PX = 96
STFT_PX = 56
MFCC_PX = 36
GAP_PX = 3
STFT_DB = (-80.0, 20.0)
"""Range of the spectrogram, equal for all clips so that a quiet clip is dark."""
MFCC_DB = (-25.0, 25.0)
"""Range of the cepstrum."""
QUALITY = 82
"""JPEG quality, 0 to 100."""


def contact_sheet(
    frames: UInt8[np.ndarray, "16 y x 3"] | None,
    stft: Float16[np.ndarray, "16 frequency time"] | None,
    mfcc: Float16[np.ndarray, "16 coefficient time"] | None,
) -> bytes:
    """Draw one clip as a JPEG.

    Args:
        frames: Face crops, None if there is no video.
        stft: Spectrogram windows around the frames, None if there is no audio.
        mfcc: Cepstrum of these windows. The 0th coefficient (loudness) is not shown.

    Raises:
        ValueError: If there is neither video nor audio.
    """
    rows = []
    if frames is not None:
        rows.append(np.concatenate([_face(f) for f in frames[::2]], axis=1))
    if stft is not None:
        rows.append(_strip(stft, STFT_PX, STFT_DB))
    if mfcc is not None:
        rows.append(_strip(mfcc[:, 1:], MFCC_PX, MFCC_DB))
    if not rows:
        msg = "a contact sheet needs video or audio, found neither"
        raise ValueError(msg)
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, dtype=np.uint8)
    parts = [part for row in rows for part in (gap, row)][1:]
    bgr = np.ascontiguousarray(np.concatenate(parts)[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(encoded)


def _face(rgb: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """Return a small face crop with a white border on the left and the right."""
    small = cv2.resize(rgb, (FACE_PX - 2, FACE_PX), interpolation=cv2.INTER_AREA)
    bordered = np.pad(small, ((0, 0), (1, 1), (0, 0)), constant_values=255)
    return np.asarray(bordered, dtype=np.uint8)


def _strip(
    windows: Float16[np.ndarray, "16 band time"],
    height_px: int,
    range_db: tuple[float, float],
) -> UInt8[np.ndarray, "y x 3"]:
    """Draw windows on one time axis, low bands at the bottom."""
    tiles = continuous(windows)
    low, high = range_db
    values = np.nan_to_num(tiles.astype(np.float32), nan=low, posinf=high, neginf=low)
    index = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    size = (FACE_PX * (len(windows) // 2), height_px)
    resized = cv2.resize(index[::-1], size, interpolation=cv2.INTER_AREA)
    return np.asarray(_colormap()[resized])


def continuous(
    windows: Float16[np.ndarray, "16 band time"],
) -> Float16[np.ndarray, "band strip"]:
    """Join windows into one strip that starts one step before the first instant.

    Returns:
        A strip of sixteen steps. It ends one step after the 15th instant, which is the
        last frame shown.
    """
    step = (windows.shape[2] - 1) // 2
    low = step // 2
    parts = [windows[0, :, : low + step]]
    parts += [w[:, low : low + step] for w in windows[1:15]]
    return np.concatenate([*parts, windows[15, :, low:step]], axis=1)


@cache
def _colormap() -> UInt8[np.ndarray, "256 3"]:
    """Return the colormap that the trainer uses for spectrograms."""
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](np.arange(256), bytes=True)[:, :3])
