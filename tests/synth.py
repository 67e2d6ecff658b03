"""Synthetic clips of known content: frame k shows the number k, a tone marks the time.

The clips are real files of real formats, written with PyAV. Equal arguments produce
equal media. Design times are seconds on the clock of `video_start_s` and
`audio_start_s`.
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
"""Duration of one tone."""
TONES_HZ = 500.0 + 93.75 * np.arange(40)
"""Frequencies of the tones: every third bin of a 512-sample transform at 16 kHz."""
HEADER = (1, 1, 1, 0)
"""Top row of the image; it is read correctly only if the image is upright."""
TICKS = 90_000
"""Ticks per second of time stamps that are not whole frames."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Specification of a synthetic clip."""

    suffix: str = "mp4"
    video: str | None = "libx264"
    audio: str | None = "aac"
    fps: Fraction = Fraction(25)
    stamps_s: tuple[float, ...] | None = None
    """Times of the frames, if the frame rate varies."""
    duration_s: float = 3.5
    sound_s: float | None = None
    """Duration of the audio, if it differs from that of the video."""
    video_start_s: float = 0.0
    audio_start_s: float = 0.0
    rate_hz: int = 44_100
    layout: str = "stereo"
    size_px: tuple[int, int] = (192, 128)
    rotation: int = 0
    gop: int = 12
    seed: int = 0
    codec_options: tuple[tuple[str, str], ...] = ()
    """Options of the video encoder."""

    @property
    def frame_times_s(self) -> Array:
        """Design time of every frame."""
        if self.stamps_s is not None:
            return self.video_start_s + np.array(self.stamps_s)
        count = round(self.duration_s * self.fps)
        return self.video_start_s + np.arange(count) / float(self.fps)

    @property
    def tick_s(self) -> Fraction:
        """Time base of the encoder: one frame, if all times are whole frames.

        AVI has no other unit; there, a varying frame rate means omitted frames.
        """
        indices = np.array(self.stamps_s or ()) * float(self.fps)
        even = np.allclose(indices, indices.round(), atol=1e-6)
        return 1 / self.fps if even else Fraction(1, TICKS)

    @property
    def sound_bounds_s(self) -> tuple[float, float]:
        """Design times of the first sample and of the end of the audio."""
        length = self.duration_s if self.sound_s is None else self.sound_s
        return self.audio_start_s, self.audio_start_s + length

    def tones_hz(self, times_s: Array | float) -> Array:
        """Return the frequency of the tone at design times."""
        indices = np.floor((np.asarray(times_s) - self.audio_start_s) / TONE_S)
        # A step of 17 of 40 visits each tone once. Adjacent tones are far apart, so
        # that the peaks of two tones within one transform do not overlap.
        return np.asarray(TONES_HZ[(17 * indices.astype(int) + self.seed) % 40])

    def wave(self, rate_hz: int) -> Array:
        """Return one channel of the designed audio."""
        low_s, high_s = self.sound_bounds_s
        times_s = np.arange(round((high_s - low_s) * rate_hz)) / rate_hz
        steps = self.tones_hz(low_s + times_s + 1e-9) / rate_hz
        return np.asarray(0.4 * np.sin(2 * np.pi * np.cumsum(steps)), dtype=np.float32)


def draw(number: int, size_px: tuple[int, int]) -> Array:
    """Draw a number: four rows of four squares on gray, the top row fixed."""
    width, height = size_px
    bits = [*HEADER, *(number >> b & 1 for b in range(11)), number.bit_count() & 1]
    side = min(width, height) // 4
    squares = np.kron(np.array(bits).reshape(4, 4), np.ones((side, side)))
    image = np.full((height, width, 3), 128, dtype=np.uint8)
    top, left = (height - 4 * side) // 2, (width - 4 * side) // 2
    inside = image[top : top + 4 * side, left : left + 4 * side]
    inside[:] = (20 + 215 * squares).astype(np.uint8)[..., None]
    return image


def number_in(rgb: Array) -> int | None:
    """Read the number in an image, None if the image shows no upright number."""
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
    valid = tuple(bits[:4]) == HEADER and number.bit_count() & 1 == bits[15]
    return number if valid else None


def sounds_like(peaks_hz: Array, early_hz: Array, late_hz: Array) -> Array:
    """Return which of the loudest bins belong to either tone.

    At the change from one tone to the other the transform contains half of each, and
    the peak may be off by one bin. The next tone is three bins away.
    """
    off_hz = np.minimum(np.abs(peaks_hz - early_hz), np.abs(peaks_hz - late_hz))
    return np.asarray(off_hz <= 31.25)


def lag_s(audio: Array, reference: Array, rate_hz: int) -> tuple[float, float]:
    """Return the delay of audio against a reference, and their similarity.

    Returns:
        Delay in seconds, to an eighth of a sample; and the correlation at that delay,
        1 if equal.
    """
    fine = [scipy.signal.resample_poly(s, 8, 1) for s in (audio, reference)]
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
    """Write a clip and return its path, with the suffix of the specification.

    Args:
        path: Path of the file without suffix.
        spec: Content of the clip.
        paint: Function that draws frame k instead of its number.
    """
    path = path.with_name(f"{path.name}.{spec.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    packets: list[Any] = []
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        if spec.video is not None:
            packets += encode_video(container, spec, paint)
        if spec.audio is not None:
            packets += encode_audio(container, spec)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def encode_video(
    container: Any, spec: Synth, paint: Callable[[int], Array] | None
) -> list[Any]:
    """Return the encoded video packets of a clip."""
    quick = {
        "libx264": {"preset": "veryfast", "threads": "1"},
        "libvpx": {"deadline": "realtime", "cpu-used": "16", "threads": "1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    }
    options = quick.get(spec.video or "", {"qscale": "3", "b": "2M"})
    options = {**options, **dict(spec.codec_options)}
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
    return shift_packets(packets, spec.video_start_s)


def encode_audio(container: Any, spec: Synth) -> list[Any]:
    """Return the encoded audio packets of a clip."""
    options = {"strict": "experimental"} if spec.audio == "vorbis" else {}
    stream = container.add_stream(
        spec.audio, rate=spec.rate_hz, layout=spec.layout, options=options
    )
    if spec.audio in ("aac", "libmp3lame", "mp2", "vorbis", "libopus"):
        stream.bit_rate = 64_000 * stream.codec_context.channels
    count = stream.codec_context.channels
    # The channels have different gains, and their mean is the wave.
    gains = np.linspace(0.6, 1.4, count) if count > 1 else np.ones(1)
    samples = np.outer(gains, spec.wave(spec.rate_hz)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=spec.layout)
    frame.sample_rate, frame.pts = spec.rate_hz, 0
    frame.time_base = Fraction(1, spec.rate_hz)
    packets = [*stream.encode(frame), *stream.encode(None)]
    return shift_packets(packets, spec.audio_start_s)


def shift_packets(packets: Sequence[Any], start_s: float) -> list[Any]:
    """Return the packets shifted to a start time; the encoders begin at zero."""
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
    """Return the times and numbers of all frames, read with a plain loop."""
    times_s, numbers = [], []
    with av.open(str(path)) as container:
        zero_s = (container.start_time or 0) / 1_000_000
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            times_s.append(float(frame.pts * frame.time_base) - zero_s)
            numbers.append(number_in(frame.to_ndarray(format="rgb24")))
    return np.array(times_s), np.array(numbers, dtype=float)
