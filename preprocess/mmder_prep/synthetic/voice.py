"""Voices of the synthetic corpus: a source-filter speech synthesizer.

Glottal pulses are filtered by the resonances of one vowel per syllable, with hisses in
between.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SAMPLE_RATE_HZ = 48000

# Formants of the vowels of a man in Hz (after Peterson and Barney, 1952).
VOWELS_HZ = (
    (730, 1090, 2440, 3400),  # father
    (530, 1840, 2480, 3500),  # head
    (270, 2290, 3010, 3700),  # heed
    (570, 840, 2410, 3300),  # hawed
    (300, 870, 2240, 3200),  # hood
    (660, 1720, 2410, 3500),  # had
)
BANDWIDTHS_HZ = (80, 100, 140, 220)
FLOOR_DB = -66  # level of the room noise


@dataclass(frozen=True, kw_only=True, slots=True)
class VocalTract:
    """Constant properties of an actor: pitch, and length of the vocal tract."""

    pitch_hz: float
    formant_scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceTraits:
    """Effect of an emotion on the voice in one clip.

    Attributes:
        raise_semitones: Pitch relative to the usual pitch of the actor.
        range_semitones: Amplitude of the pitch variation.
        pace_hz: Syllables per second.
        level_db: Loudness of the loudest syllable relative to full scale.
        bright_hz: Frequency above which the source loses another 6 dB per octave.
    """

    raise_semitones: float
    range_semitones: float
    pace_hz: float
    level_db: float
    bright_hz: float


def draw_vocal_tract(rng: np.random.Generator, *, male: bool) -> VocalTract:
    """Draw the vocal tract of an actor."""
    pitch_hz, scale = ((95, 140), (0.95, 1.05)) if male else ((170, 230), (1.1, 1.22))
    return VocalTract(
        pitch_hz=rng.uniform(*pitch_hz), formant_scale=rng.uniform(*scale)
    )


def draw_voice(rng: np.random.Generator, *, state: float, std: float) -> VoiceTraits:
    """Draw the voice of one clip.

    Args:
        rng: Random generator of the clip.
        state: Mean of the voice state, -1 (low) to 1 (high).
        std: Standard deviation of the arousal of a clip around that mean.

    Returns:
        The traits; all of them follow one arousal, each with noise of its own.
    """
    arousal = rng.normal(state, std)
    pitch, swing, pace, level, bright = np.clip(
        arousal + rng.normal(0, 0.25, 5), -1.9, 1.9
    )
    return VoiceTraits(
        raise_semitones=1 + 3.5 * pitch,
        range_semitones=2.5 * float(np.exp(0.6 * swing)),
        pace_hz=4.2 + 1.1 * pace,
        level_db=-11 + 5 * level,
        bright_hz=1600 * float(np.exp(0.8 * bright)),
    )


def synthesize_speech(
    vocal_tract: VocalTract,
    traits: VoiceTraits,
    *,
    n_samples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " time"]:
    """Synthesize speech that is quiet at both ends.

    Args:
        vocal_tract: Vocal tract of the actor.
        traits: Voice of this clip.
        n_samples: Number of samples.
        rng: Random generator of the clip.

    Returns:
        Samples between -1 and 1 at `SAMPLE_RATE_HZ`.
    """
    buzz = _pulses(vocal_tract, traits, n_samples=n_samples, rng=rng)
    hiss = rng.normal(0, 1, n_samples)
    thin_hiss = np.diff(hiss, n=2, prepend=hiss[:2])  # spectrum of a fricative
    source = buzz + 0.02 * hiss
    audio = np.zeros(n_samples)
    end = n_samples - int(rng.uniform(0.2, 0.3) * SAMPLE_RATE_HZ)
    start = int(rng.uniform(0.12, 0.2) * SAMPLE_RATE_HZ)
    while start < end - SAMPLE_RATE_HZ // 12:
        length = int(SAMPLE_RATE_HZ / traits.pace_hz * rng.uniform(0.8, 1.25))
        length = min(length, end - start)
        loud, vowel = rng.uniform(0.55, 1), rng.integers(len(VOWELS_HZ))
        if rng.random() < 0.4:
            _add_hiss(audio, thin_hiss, start=start, strength=0.012 * loud)
        if rng.random() > 0.12:  # else a pause
            span = slice(start, start + length)
            formants_hz = vocal_tract.formant_scale * np.array(VOWELS_HZ[vowel], float)
            tone = _resound(source[span], formants_hz, bright_hz=traits.bright_hz)
            tone *= np.sin(np.pi * np.linspace(0, 1, length) ** 0.7) ** 1.2
            audio[span] += loud * tone / np.sqrt(np.mean(tone**2) + 1e-12)
        start += length
    peak = max(loudness(audio).max(), 1e-6)
    audio *= 0.7 * 10 ** (traits.level_db / 20) / peak
    audio += rng.normal(0, 10 ** (FLOOR_DB / 20), n_samples)
    return np.asarray(np.tanh(audio))  # loud voices saturate softly instead of clipping


def loudness(audio: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """Return the root mean square over 50 ms around each sample."""
    width = SAMPLE_RATE_HZ // 20
    energy = np.cumsum(np.pad(audio**2, (width // 2 + 1, width // 2)))
    power = (energy[width:-1] - energy[: -width - 1]) / width
    return np.asarray(np.sqrt(np.maximum(power, 0)))


def _pulses(
    vocal_tract: VocalTract,
    traits: VoiceTraits,
    *,
    n_samples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " time"]:
    """Return the derivative of the air flow through the glottis."""
    progress = np.arange(n_samples) / n_samples
    swing = sum(
        weight * np.sin(2 * np.pi * (rng.uniform(*turns) * progress + rng.random()))
        for weight, turns in ((0.6, (1.0, 2.0)), (0.4, (3.0, 5.0)))
    )
    semitones = traits.raise_semitones + traits.range_semitones * (
        swing - 0.5 * progress
    )
    jitter = np.repeat(rng.normal(0, 0.12, n_samples // 400 + 1), 400)[:n_samples]
    pitch_hz = vocal_tract.pitch_hz * 2 ** ((semitones + jitter) / 12)
    phase = np.cumsum(pitch_hz / SAMPLE_RATE_HZ) % 1
    # Klatt pulse: the glottis opens slowly and closes abruptly after 60 %.
    opened = np.minimum(phase / 0.6, 1)
    return np.asarray((2 * opened - 3 * opened**2) * (phase < 0.6))


def _resound(
    source: Float[np.ndarray, " time"],
    formants_hz: Float[np.ndarray, " formant"],
    *,
    bright_hz: float,
) -> Float[np.ndarray, " time"]:
    """Filter a syllable with a low pass and one resonator per formant.

    All filters are recursive. They are applied as a product of spectra over slightly
    more than the syllable, so that the ringing at its end does not wrap around.
    """
    size = 2 ** (len(source) + SAMPLE_RATE_HZ // 50).bit_length()
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)  # of one sample
    keep = np.exp(-2 * np.pi * bright_hz / SAMPLE_RATE_HZ)
    response = (1 - keep) / (1 - keep * delay)
    for formant_hz, bandwidth_hz in zip(formants_hz, BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        linear = -2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ)
        gain = 1 + linear + radius**2  # one at 0 Hz
        response *= gain / (1 + linear * delay + radius**2 * delay**2)
    filtered = np.fft.irfft(np.fft.rfft(source, size) * response, size)
    return np.asarray(filtered[: len(source)])


def _add_hiss(
    audio: Float[np.ndarray, " time"],
    hiss: Float[np.ndarray, " time"],
    *,
    start: int,
    strength: float,
) -> None:
    """Add a fricative that ends shortly after `start`."""
    span = slice(max(0, start - SAMPLE_RATE_HZ // 20), start + SAMPLE_RATE_HZ // 40)
    audio[span] += strength * hiss[span] * np.hanning(span.stop - span.start)
