"""What determines the bytes of a store.

Two runs with equal settings over equal media give equal arrays. How many
workers, which scheduler and which device took part is not in here.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mmder_store.errors import SettingsError

FRAMES_16 = 16
"""Pictures of a clip (paper III-A: the encoder takes 16 x 224 x 224)."""
FRAMES_8 = 8
"""Pictures of a clip where sound takes the other eight places (paper III-B)."""
FRAME_PX = 224
"""Height and width of a stored face crop."""
STEP_FPS = 30
"""The rate in which the paper counts its steps."""
PAPER_STEP_FRAMES = 6.0
"""Step of the 16 frames on RAVDESS (paper IV-B1; 12 for the 8 frames)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepSettings:
    """Everything about the preparation of one clip that changes its arrays."""

    modality: Literal["av", "audio"] = "av"
    """Picture and sound, or sound alone."""
    step_frames: float | None = PAPER_STEP_FRAMES
    """Step of the 16 frames, in frames of 30 per second; None spreads them over
    the clip. The step of the 8 frames is twice this one."""
    face_crop: bool = True
    """Follow the face; without it the centre square of the picture is taken."""
    face_margin: float = 0.3
    """Side of the crop: the longer side of the face box times 1 + margin."""
    sample_rate_hz: int = 16_000
    """Rate of the sound before it is transformed."""
    fft_samples: int = 512
    """Length of one Fourier transform."""
    fft_window_samples: int = 400
    """Length of the Hann window in it (25 ms)."""
    hop_samples: int = 160
    """Distance of two spectra (10 ms); with a spread step, the longest allowed."""
    mels: int = 64
    """Mel bands under the cepstrum."""
    mfccs: int = 40
    """Cepstral coefficients kept, from the 0th."""

    def __post_init__(self) -> None:
        """Refuse values that would truncate sound or make no picture."""
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
                "or sound would be skipped or cut"
            )
            raise SettingsError(msg)
        if not 1 <= self.mfccs <= self.mels:
            msg = (
                f"{self.mfccs} coefficients of {self.mels} mel bands: at most one each"
            )
            raise SettingsError(msg)

    @property
    def step_s(self) -> float | None:
        """Step of the 16 frames in seconds, None where it is spread over the clip."""
        return None if self.step_frames is None else self.step_frames / STEP_FPS

    def columns(self, windows: int) -> int:
        """Count the spectra (columns of a spectrogram) of one sound window.

        A window is two steps long. Where steps are spread, every clip gets as many
        columns as the paper's step of 6 would give it.
        """
        step_s = self.step_s or PAPER_STEP_FRAMES / STEP_FPS
        step_s *= FRAMES_16 // windows
        return 1 + round(2 * step_s * self.sample_rate_hz) // self.hop_samples

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in a store's attributes."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "PrepSettings":
        """Read the form kept in a store.

        Raises:
            SettingsError: If a setting is missing or unknown.
        """
        want = {f.name for f in fields(cls)}
        if set(found) != want:
            odd = sorted(set(found) ^ want)
            msg = f"settings of the store: {', '.join(odd)} missing or unknown here"
            raise SettingsError(msg)
        return cls(**found)

    def describe_change(self, other: "PrepSettings") -> str:
        """List the settings in which two differ, as ``name found -> asked``."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(
            f"{k} {mine[k]} -> {theirs[k]}" for k in mine if mine[k] != theirs[k]
        )


def digest(*parts: object) -> str:
    """Hash anything that JSON can say, stable across runs and machines."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
