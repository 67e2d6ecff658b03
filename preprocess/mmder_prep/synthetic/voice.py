"""The sound of the sample corpus: a buzzing throat behind a few resonances.

Source and filter, the oldest speech synthesiser there is: glottal pulses, for
each syllable through the resonances of one vowel, with hisses in between.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RATE_HZ = 48000

# Formants of a man's vowels in Hz (after Peterson and Barney, 1952).
VOWELS_HZ = (
    (730, 1090, 2440, 3400),  # father
    (530, 1840, 2480, 3500),  # head
    (270, 2290, 3010, 3700),  # heed
    (570, 840, 2410, 3300),  # hawed
    (300, 870, 2240, 3200),  # hood
    (660, 1720, 2410, 3500),  # had
)
BANDWIDTHS_HZ = (80, 100, 140, 220)
FLOOR_DB = -66  # the noise of the room


@dataclass(frozen=True, kw_only=True, slots=True)
class Throat:
    """What stays with an actor: pitch, and the length of the vocal tract."""

    pitch_hz: float
    formant_scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceTraits:
    """What a feeling does to a voice in one clip.

    Attributes:
        raise_semitones: Pitch against the actor's own.
        range_semitones: How far the pitch swings.
        pace_hz: Syllables a second.
        level_db: Loudness of the loudest syllable against full scale.
        bright_hz: Above this the throat loses 6 dB an octave more.
    """

    raise_semitones: float
    range_semitones: float
    pace_hz: float
    level_db: float
    bright_hz: float


def draw_throat(rng: np.random.Generator, *, male: bool) -> Throat:
    """Draw the throat of an actor."""
    pitch_hz, scale = ((95, 140), (0.95, 1.05)) if male else ((170, 230), (1.1, 1.22))
    return Throat(pitch_hz=rng.uniform(*pitch_hz), formant_scale=rng.uniform(*scale))


def draw_voice(rng: np.random.Generator, *, state: float, spread: float) -> VoiceTraits:
    """Draw the voice of one clip.

    Args:
        rng: The randomness of the clip.
        state: The mean of the voice state, -1 (low) to 1 (high).
        spread: Standard deviation of the clip's arousal about that mean.

    Returns:
        The traits; all of them follow one arousal, each with a scatter of its own.
    """
    arousal = rng.normal(state, spread)
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


def speak(
    throat: Throat, traits: VoiceTraits, *, n_samples: int, rng: np.random.Generator
) -> Float[np.ndarray, " time"]:
    """Speak for a while, quiet at both ends.

    Args:
        throat: The actor.
        traits: The voice of this clip.
        n_samples: Length of the sound.
        rng: The randomness of the clip.

    Returns:
        Samples between -1 and 1 at `RATE_HZ`.
    """
    buzz = _pulses(throat, traits, n_samples=n_samples, rng=rng)
    hiss = rng.normal(0, 1, n_samples)
    thin_hiss = np.diff(hiss, n=2, prepend=hiss[:2])  # what a fricative leaves
    source = buzz + 0.02 * hiss
    sound = np.zeros(n_samples)
    end = n_samples - int(rng.uniform(0.2, 0.3) * RATE_HZ)
    start = int(rng.uniform(0.12, 0.2) * RATE_HZ)
    while start < end - RATE_HZ // 12:
        length = int(RATE_HZ / traits.pace_hz * rng.uniform(0.8, 1.25))
        length = min(length, end - start)
        loud, vowel = rng.uniform(0.55, 1), rng.integers(len(VOWELS_HZ))
        if rng.random() < 0.4:
            _add_hiss(sound, thin_hiss, start=start, strength=0.012 * loud)
        if rng.random() > 0.12:  # else a pause
            span = slice(start, start + length)
            formants_hz = throat.formant_scale * np.array(VOWELS_HZ[vowel], float)
            tone = _resound(source[span], formants_hz, bright_hz=traits.bright_hz)
            tone *= np.sin(np.pi * np.linspace(0, 1, length) ** 0.7) ** 1.2
            sound[span] += loud * tone / np.sqrt(np.mean(tone**2) + 1e-12)
        start += length
    peak = max(loudness(sound).max(), 1e-6)
    sound *= 0.7 * 10 ** (traits.level_db / 20) / peak
    sound += rng.normal(0, 10 ** (FLOOR_DB / 20), n_samples)
    return np.asarray(np.tanh(sound))  # loud voices saturate softly instead of clipping


def loudness(sound: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """Return the root mean square of a sound over 50 ms about each sample."""
    width = RATE_HZ // 20
    energy = np.cumsum(np.pad(sound**2, (width // 2 + 1, width // 2)))
    power = (energy[width:-1] - energy[: -width - 1]) / width
    return np.asarray(np.sqrt(np.maximum(power, 0)))


def _pulses(
    throat: Throat, traits: VoiceTraits, *, n_samples: int, rng: np.random.Generator
) -> Float[np.ndarray, " time"]:
    """Return the flow of air out of the throat, differentiated."""
    share = np.arange(n_samples) / n_samples
    swing = sum(
        weight * np.sin(2 * np.pi * (rng.uniform(*turns) * share + rng.random()))
        for weight, turns in ((0.6, (1.0, 2.0)), (0.4, (3.0, 5.0)))
    )
    semitones = traits.raise_semitones + traits.range_semitones * (swing - 0.5 * share)
    jitter = np.repeat(rng.normal(0, 0.12, n_samples // 400 + 1), 400)[:n_samples]
    pitch_hz = throat.pitch_hz * 2 ** ((semitones + jitter) / 12)
    phase = np.cumsum(pitch_hz / RATE_HZ) % 1
    # Klatt's pulse: the glottis opens slowly and shuts at once after 60 %.
    opened = np.minimum(phase / 0.6, 1)
    return np.asarray((2 * opened - 3 * opened**2) * (phase < 0.6))


def _resound(
    source: Float[np.ndarray, " time"],
    formants_hz: Float[np.ndarray, " formant"],
    *,
    bright_hz: float,
) -> Float[np.ndarray, " time"]:
    """Send a syllable through a low pass and one resonator for each formant.

    All are recursive filters, applied as a product of spectra over a little more
    than the syllable, which takes up what still rings at its end.
    """
    size = 2 ** (len(source) + RATE_HZ // 50).bit_length()
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)  # by one sample
    keep = np.exp(-2 * np.pi * bright_hz / RATE_HZ)
    response = (1 - keep) / (1 - keep * delay)
    for formant_hz, bandwidth_hz in zip(formants_hz, BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
        linear = -2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ)
        gain = 1 + linear + radius**2  # one at 0 Hz
        response *= gain / (1 + linear * delay + radius**2 * delay**2)
    heard = np.fft.irfft(np.fft.rfft(source, size) * response, size)
    return np.asarray(heard[: len(source)])


def _add_hiss(
    sound: Float[np.ndarray, " time"],
    hiss: Float[np.ndarray, " time"],
    *,
    start: int,
    strength: float,
) -> None:
    """Add a fricative that ends a little after `start`."""
    span = slice(max(0, start - RATE_HZ // 20), start + RATE_HZ // 40)
    sound[span] += strength * hiss[span] * np.hanning(span.stop - span.start)
