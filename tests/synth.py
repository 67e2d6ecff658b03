"""Clips with the answer written in them: frame k shows k, and the tone tells the time.

Real files of real formats, made with PyAV; equal arguments give equal media. Times
of the design are seconds from where `video_start_s` and `audio_start_s` count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import scipy.signal

TONE_S = 0.1
"""How long one tone lasts."""
TONES_HZ = 500.0 + 93.75 * np.arange(40)
"""Every third bin of a transform of 512 samples at 16 kHz."""
HEADER = (1, 1, 1, 0)
"""Top row of the picture: it reads so only where the picture stands upright."""
TICKS = 90_000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Synth:
    """What a clip is to be."""

    suffix: str = "mp4"
    video: str | None = "libx264"
    audio: str | None = "aac"
    fps: Fraction = Fraction(25)
    stamps_s: tuple[float, ...] | None = None
    """Times of the frames, where the rate varies."""
    duration_s: float = 3.5
    sound_s: float | None = None
    """Length of the sound, where it is not that of the picture."""
    video_start_s: float = 0.0
    audio_start_s: float = 0.0
    rate_hz: int = 44_100
    layout: str = "stereo"
    size_px: tuple[int, int] = (192, 128)
    rotation: int = 0
    gop: int = 12
    seed: int = 0

    @property
    def frame_times_s(self) -> Array:
        """Time of every frame, by the design."""
        if self.stamps_s is not None:
            return self.video_start_s + np.array(self.stamps_s)
        count = round(self.duration_s * self.fps)
        return self.video_start_s + np.arange(count) / float(self.fps)

    @property
    def tick_s(self) -> Fraction:
        """Unit in which the encoder counts: a frame, where all times are whole ones.

        AVI knows no other unit; its rate varies by frames left out.
        """
        places = np.array(self.stamps_s or ()) * float(self.fps)
        even = np.allclose(places, places.round(), atol=1e-6)
        return 1 / self.fps if even else Fraction(1, TICKS)

    @property
    def sound_bounds_s(self) -> tuple[float, float]:
        """First sample and end of the sound, by the design."""
        length = self.duration_s if self.sound_s is None else self.sound_s
        return self.audio_start_s, self.audio_start_s + length

    def tones_hz(self, times_s: Array | float) -> Array:
        """Tell which tone sounds at times of the design."""
        places = np.floor((np.asarray(times_s) - self.audio_start_s) / TONE_S)
        # A step of 17 of 40 meets each once, and is far: where two tones share a
        # transform, their peaks do not touch.
        return np.asarray(TONES_HZ[(17 * places.astype(int) + self.seed) % 40])

    def wave(self, rate_hz: int) -> Array:
        """Give one channel of the sound, by the design."""
        low_s, high_s = self.sound_bounds_s
        times_s = np.arange(round((high_s - low_s) * rate_hz)) / rate_hz
        steps = self.tones_hz(low_s + times_s + 1e-9) / rate_hz
        return np.asarray(0.4 * np.sin(2 * np.pi * np.cumsum(steps)), dtype=np.float32)


def draw(number: int, size_px: tuple[int, int]) -> Array:
    """Draw a number: four rows of four squares on grey, the top row fixed."""
    width, height = size_px
    bits = [*HEADER, *(number >> b & 1 for b in range(11)), number.bit_count() & 1]
    side = min(width, height) // 4
    squares = np.kron(np.array(bits).reshape(4, 4), np.ones((side, side)))
    picture = np.full((height, width, 3), 128, dtype=np.uint8)
    top, left = (height - 4 * side) // 2, (width - 4 * side) // 2
    inside = picture[top : top + 4 * side, left : left + 4 * side]
    inside[:] = (20 + 215 * squares).astype(np.uint8)[..., None]
    return picture


def number_in(rgb: Array) -> int | None:
    """Read the number in a picture, None where none stands upright in it."""
    height, width = rgb.shape[:2]
    side = min(height, width) / 4
    top, left = (height - 4 * side) / 2, (width - 4 * side) / 2
    bits = []
    for row in range(4):
        for column in range(4):
            y, x = int(top + (row + 0.25) * side), int(left + (column + 0.25) * side)
            level = rgb[y : y + int(side / 2), x : x + int(side / 2)].mean()
            if 80 < level < 175:
                return None
            bits.append(int(level > 128))
    number = sum(bit << b for b, bit in enumerate(bits[4:15]))
    right = tuple(bits[:4]) == HEADER and number.bit_count() & 1 == bits[15]
    return number if right else None


def sounds_like(peaks_hz: Array, early_hz: Array, late_hz: Array) -> Array:
    """Tell where the loudest bin is that of either tone.

    Where one tone gives way to the other, half of it is in the transform, and its
    peak may be one bin beside; the next tone is three beside.
    """
    off_hz = np.minimum(np.abs(peaks_hz - early_hz), np.abs(peaks_hz - late_hz))
    return np.asarray(off_hz <= 31.25)


def lag_s(sound: Array, reference: Array, rate_hz: int) -> tuple[float, float]:
    """Measure by how much a sound is later than a reference, and how like it is.

    Returns:
        Seconds, to an eighth of a sample; and the correlation there, 1 if equal.
    """
    fine = [scipy.signal.resample_poly(s, 8, 1) for s in (sound, reference)]
    match = scipy.signal.correlate(fine[0], fine[1], method="fft")
    best = int(match.argmax())
    norm = np.linalg.norm(fine[0]) * np.linalg.norm(fine[1])
    return (best - len(fine[1]) + 1) / (8 * rate_hz), float(match[best] / norm)


def write(
    path: Path,
    spec: Synth,
    *,
    paint: Callable[[int], Array] | None = None,
) -> Path:
    """Write a clip; its suffix is added to the path.

    Args:
        path: Where, without suffix.
        spec: What.
        paint: Draws frame k instead of its number.
    """
    path = path.with_name(f"{path.name}.{spec.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    packets: list[Any] = []
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        if spec.video is not None:
            packets += _encode_pictures(container, spec, paint)
        if spec.audio is not None:
            packets += _encode_sound(container, spec)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def _encode_pictures(
    container: Any, spec: Synth, paint: Callable[[int], Array] | None
) -> list[Any]:
    quick = {
        "libx264": {"preset": "veryfast", "threads": "1"},
        "libvpx": {"deadline": "realtime", "cpu-used": "16", "threads": "1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    }
    options = quick.get(spec.video or "", {"qscale": "3", "b": "2M"})
    stream = container.add_stream(spec.video, rate=spec.fps, options=options)
    stream.width, stream.height = spec.size_px
    stream.pix_fmt = "yuvj420p" if spec.video == "mjpeg" else "yuv420p"
    stream.codec_context.gop_size = spec.gop
    tick = spec.tick_s
    stream.codec_context.time_base = tick
    if spec.rotation:
        stream.set_display_rotation(spec.rotation)
    times_s = spec.frame_times_s - spec.video_start_s
    packets = []
    for number, time_s in enumerate(times_s):
        rgb = draw(number, spec.size_px) if paint is None else paint(number)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = round(time_s / tick)
        frame.time_base = tick
        packets += stream.encode(frame)
    packets += stream.encode(None)
    return _shifted(packets, spec.video_start_s)


def _encode_sound(container: Any, spec: Synth) -> list[Any]:
    options = {"strict": "experimental"} if spec.audio == "vorbis" else {}
    stream = container.add_stream(
        spec.audio, rate=spec.rate_hz, layout=spec.layout, options=options
    )
    if spec.audio in ("aac", "libmp3lame", "mp2", "vorbis", "libopus"):
        stream.bit_rate = 64_000 * stream.codec_context.channels
    count = stream.codec_context.channels
    # No two channels are equally loud, and their mean is the wave.
    gains = np.linspace(0.6, 1.4, count) if count > 1 else np.ones(1)
    samples = np.outer(gains, spec.wave(spec.rate_hz)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=spec.layout)
    frame.sample_rate, frame.pts = spec.rate_hz, 0
    frame.time_base = Fraction(1, spec.rate_hz)
    packets = [*stream.encode(frame), *stream.encode(None)]
    return _shifted(packets, spec.audio_start_s)


def _shifted(packets: Sequence[Any], start_s: float) -> list[Any]:
    """Bring packets to a start; the encoders themselves begin at zero."""
    kept = [p for p in packets if p.size and p.pts is not None]
    if not start_s:
        return kept
    for packet in kept:
        old = packet.time_base
        shift = round(start_s * TICKS)
        packet.pts = round(packet.pts * old * TICKS) + shift
        packet.dts = round(packet.dts * old * TICKS) + shift
        packet.duration = round((packet.duration or 0) * old * TICKS)
        packet.time_base = Fraction(1, TICKS)
    return kept


def frames_of(path: Path) -> tuple[Array, Array]:
    """Read times and numbers of all frames with a plain loop, times from the start."""
    times_s, numbers = [], []
    with av.open(str(path)) as container:
        zero_s = (container.start_time or 0) / 1_000_000
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            times_s.append(float(frame.pts * frame.time_base) - zero_s)
            numbers.append(number_in(frame.to_ndarray(format="rgb24")))
    return np.array(times_s), np.array(numbers, dtype=float)
