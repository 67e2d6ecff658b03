"""Preprocessing settings: everything besides the media that determines the arrays.

Equal settings and equal media yield equal arrays. The number of workers and the
scheduler are not settings. Neither is the device: its kind is part of the software's
fingerprint, and a store has shards of one fingerprint only.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mmder_store.errors import SettingsError

FRAMES_16 = 16
"""Number of frames of a clip (paper III-A: the encoder takes 16 x 224 x 224)."""
FRAMES_8 = 8
"""Number of frames if audio takes the other eight positions (paper III-B)."""
FRAME_PX = 224
"""Height and width of a stored face crop, in pixels."""
STEP_FPS = 30
"""Frame rate in which the paper counts its steps."""
PAPER_STEP_FRAMES = 6.0
"""Step between the 16 frames on RAVDESS (paper IV-B1; 12 for the 8 frames)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepSettings:
    """Settings that change the arrays of a clip."""

    modality: Literal["av", "audio"] = "av"
    """Video and audio (`av`), or audio only (`audio`)."""
    step_frames: float | None = PAPER_STEP_FRAMES
    """Step between the 16 frames, in frames at 30 per second. None spreads the frames
    over the clip. The step between the 8 frames is twice as long."""
    face_crop: bool = True
    """True to crop the face; False to crop the center square of each frame."""
    face_margin: float = 0.3
    """Margin of the crop. Its side is (1 + margin) times the longer side of the box."""
    sample_rate_hz: int = 16_000
    """Sampling rate to which the audio is resampled."""
    fft_samples: int = 512
    """Length of the Fourier transform."""
    fft_window_samples: int = 400
    """Length of the Hann window (25 ms)."""
    hop_samples: int = 160
    """Hop between two spectra (10 ms). With ``step_frames=None`` it is the maximum."""
    mels: int = 64
    """Number of mel bands that the MFCC are computed from."""
    mfccs: int = 40
    """Number of cepstral coefficients, from the 0th."""

    def __post_init__(self) -> None:
        """Raise SettingsError if a value would skip audio or make an array invalid."""
        if self.step_frames is not None and not 0.1 <= self.step_frames <= 300:
            msg = (
                f"step {self.step_frames!r}: expected 0.1 to 300 frames at "
                f"{STEP_FPS} per second, or 'auto'"
            )
            raise SettingsError(msg)
        if not 0 <= self.face_margin <= 3:
            msg = f"face margin {self.face_margin!r}: expected 0 to 3"
            raise SettingsError(msg)
        if not self.hop_samples <= self.fft_window_samples <= self.fft_samples:
            msg = (
                f"hop {self.hop_samples}, window {self.fft_window_samples}, transform "
                f"{self.fft_samples} samples: expected hop <= window <= transform, "
                "or audio would be skipped or cut"
            )
            raise SettingsError(msg)
        if not 1 <= self.mfccs <= self.mels:
            msg = (
                f"{self.mfccs} coefficients of {self.mels} mel bands: expected 1 to "
                f"{self.mels}"
            )
            raise SettingsError(msg)

    @property
    def step_s(self) -> float | None:
        """Step between the 16 frames in seconds; None if it depends on the clip."""
        return None if self.step_frames is None else self.step_frames / STEP_FPS

    def columns(self, windows: int) -> int:
        """Return the number of spectra (spectrogram columns) per audio window.

        A window is two steps long. If the step depends on the clip, every clip has as
        many columns as with the paper's step of 6 frames.

        Args:
            windows: Number of windows per clip, 16 or 8.
        """
        step_s = self.step_s or PAPER_STEP_FRAMES / STEP_FPS
        step_s *= FRAMES_16 // windows
        return 1 + round(2 * step_s * self.sample_rate_hz) // self.hop_samples

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the attributes of a store."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "PrepSettings":
        """Create settings from the attributes of a store.

        Raises:
            SettingsError: If a setting is missing or unknown.
        """
        known = {f.name for f in fields(cls)}
        if set(stored) != known:
            names = ", ".join(sorted(set(stored) ^ known))
            msg = f"settings of the store: {names} missing or unknown to this mmder"
            raise SettingsError(msg)
        return cls(**stored)

    def describe_change(self, other: "PrepSettings") -> str:
        """Return the settings that differ, as comma-separated ``name old -> new``."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(
            f"{k} {mine[k]} -> {theirs[k]}" for k in mine if mine[k] != theirs[k]
        )


def digest(*parts: object) -> str:
    """Return the SHA-256 of JSON values, the same on every run and machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
