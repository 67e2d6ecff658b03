"""Content of the picture of a recording: probabilities, thumbnails, a spectrogram.

Only a few kilobytes per window are kept.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from mmder_train.inference.predictor import Prediction

THUMB_PX = 56
"""Side of a thumbnail: a quarter of a stored frame."""
ROWS = 64
"""Number of rows of the spectrogram, each the mean of four frequencies."""


@dataclass(kw_only=True, slots=True, eq=False)
class Timeline:
    """Windows of one recording so far."""

    clip_id: str
    classes: tuple[str, ...]
    bounds_s: list[tuple[float, float]] = field(default_factory=list)
    """Start and stop of each window."""
    probabilities: list[list[float]] = field(default_factory=list)
    """Probability of each class in each window, NaN if it was not predicted."""
    notes: list[str] = field(default_factory=list)
    """Missing modality or status of each window, empty if nothing is missing."""
    thumbs: list[tuple[float, UInt8[np.ndarray, "56 56 3"]]] = field(
        default_factory=list
    )
    """Time and small copy of the first frame of each window that has video."""
    spectra: list[tuple[float, Float32[np.ndarray, " row"]]] = field(
        default_factory=list
    )
    """Start and mean spectrum in dB of each step of the recording that has audio."""
    step_s: float = 0.0
    """Length of a step."""

    def add(self, prediction: Prediction) -> None:
        """Add the prediction of the next window, with the arrays of its clip."""
        clip = prediction.clip
        assert clip.window_s is not None
        self.bounds_s.append(clip.window_s)
        values = (prediction.probabilities or {}).values()
        self.probabilities.append([*values] or [np.nan] * len(self.classes))
        lacking = prediction.missing or ""
        if prediction.probabilities is None:
            self.notes.append(clip.status)
        else:
            self.notes.append(f"no {lacking}" if lacking else "")
        frames, times_s = (clip.arrays.get(n) for n in ("frames", "frame_time_s"))
        if frames is not None and times_s is not None and np.isfinite(times_s[0]):
            self.thumbs.append((clip.window_s[0], _thumb(frames[0])))
        if "audio" not in clip.missing and "stft_16" in clip.arrays:
            self._add_spectra(clip.arrays["stft_16"], clip.arrays["window_16_s"])

    def _add_spectra(
        self,
        stft: np.ndarray[tuple[int, ...], np.dtype[np.float16]],
        bounds_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> None:
        """Add the steps that follow the last one.

        The middle half of an audio window is one step long. The first window of a clip
        begins with silence, since the clip has no audio before its start.
        """
        self.step_s = float(bounds_s[0, 1] - bounds_s[0, 0]) / 2
        for values, low_s in zip(stft[1:], bounds_s[1:, 0], strict=True):
            start_s = float(low_s) + self.step_s / 2
            if self.spectra and start_s < self.spectra[-1][0] + self.step_s / 2:
                continue
            columns = values.shape[1]
            middle = values[: 4 * ROWS, columns // 4 : -(columns // 4)]
            mean = middle.astype(np.float32).mean(axis=1).reshape(ROWS, 4).mean(axis=1)
            self.spectra.append((start_s, mean))


def _thumb(frame: UInt8[np.ndarray, "224 224 3"]) -> UInt8[np.ndarray, "56 56 3"]:
    side = THUMB_PX
    blocks = frame.reshape(side, -1, side, frame.shape[1] // side, 3)
    small: UInt8[np.ndarray, "56 56 3"] = blocks.mean(axis=(1, 3)).astype(np.uint8)
    return small
