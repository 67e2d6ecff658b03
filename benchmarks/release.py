"""What the paper's published scripts do to a clip, written anew for its cost alone.

The same steps on the same sizes: decode the whole video and squash every picture to
224, write the sound as a wave file of interleaved stereo at 44.1 kHz and read it again,
cut as many overlapping windows as there are pictures of it, thirteen cepstral
coefficients every 0.1 ms from an explicit table of samples, a plot of four by four
inches saved as JPEG by matplotlib for each, read and squashed, every frame through
JPEG, and the fused clip written as MPEG-4. Once for each strategy. Pictures are read
and resized with OpenCV, faster than what the scripts use: the ratio is a lower bound.
"""

from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import fft
from scipy.io import wavfile

SIDE_PX = 224
RATE_HZ = 44_100
WINDOW, HOP, TRANSFORM = 1102, 4, 512
"""25 ms, 0.1 ms, and the transform, which crops each window."""
BANDS, COEFFICIENTS, LIFTER = 40, 13, 22
PLOT_INCHES = 4
FPS = 16

Pictures = list[NDArray[np.uint8]]


def fused_clip(
    path: Path, strategy: str, pictures: int, windows: int, out: Path
) -> None:
    """Make one clip's input of one strategy, as JPEGs and an MPEG-4 file."""
    out.mkdir(parents=True, exist_ok=True)
    seen = through_jpeg(shown(path, pictures), out, "seen") if pictures else []
    heard = through_jpeg(plots(path, windows, out), out, "heard") if windows else []
    joined = fuse(strategy, seen, heard)
    encode(through_jpeg(joined, out, "joined"), out / "clip.mp4")
    if strategy == "rfas":  # shuffles what it finds in a finished clip
        again = read(out / "clip.mp4")
        order = np.random.default_rng(0).permutation(len(again))
        encode([again[place] for place in order], out / "again.mp4")


def shown(path: Path, count: int) -> Pictures:
    """Read and squash every picture of a clip, and take so many."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    squashed: Pictures = []
    while True:
        there, picture = video.read()
        if not there:
            break
        squashed.append(cv2.resize(picture, (SIDE_PX, SIDE_PX)).astype(np.uint8))
    video.release()
    every = 6 if count == 16 else 12
    return [squashed[min(every * n, len(squashed) - 1)] for n in range(count)]


def plots(path: Path, count: int, out: Path) -> Pictures:
    """Plot the coefficients of overlapping windows of the whole clip's sound."""
    sound = interleaved_sound(path, out / "sound.wav")
    step = len(sound) // (count + 1)
    made: Pictures = []
    for number in range(count):
        figure = Figure(figsize=(PLOT_INCHES, PLOT_INCHES))
        axes = figure.subplots()
        axes.matshow(
            cepstrum(sound[number * step : (number + 2) * step]).T,
            aspect="auto",
            origin="lower",
        )
        axes.axis("off")
        figure.savefig(out / "plot.jpg")
        plot = cv2.imread(str(out / "plot.jpg"))
        assert plot is not None
        made.append(cv2.resize(plot, (SIDE_PX, SIDE_PX)).astype(np.uint8))
    return made


def interleaved_sound(path: Path, wave: Path) -> NDArray[np.float64]:
    """Write the whole sound track as a file, and read it, left and right in turn."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE_HZ)
    with av.open(str(path)) as container:
        parts = [
            made.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for made in resampler.resample(frame)
        ]
    wavfile.write(wave, RATE_HZ, np.concatenate(parts).reshape(-1, 2))
    _, samples = wavfile.read(wave)
    return np.asarray(samples.ravel() / np.abs(samples).max())


def cepstrum(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give mel-frequency cepstral coefficients every 0.1 ms."""
    emphasised = np.append(sound[0], sound[1:] - 0.97 * sound[:-1])
    starts = np.arange(0, len(emphasised) - WINDOW, HOP)
    pieces = emphasised[starts[:, None] + np.arange(WINDOW)] * np.hamming(WINDOW)
    power = np.square(np.abs(np.fft.rfft(pieces, TRANSFORM))) / TRANSFORM
    bands = 20 * np.log10(np.maximum(power @ triangles().T, np.finfo(float).eps))
    found = fft.dct(bands, norm="ortho")[:, 1 : COEFFICIENTS + 1]
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    return np.asarray(found * lift)


@cache
def triangles() -> NDArray[np.float64]:
    """Give the mel bands."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    low, middle, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    at_hz = np.linspace(0, RATE_HZ / 2, TRANSFORM // 2 + 1)
    sides = (at_hz - low) / (middle - low), (high - at_hz) / (high - middle)
    return np.asarray(np.minimum(*sides).clip(min=0))


def fuse(strategy: str, seen: Pictures, heard: Pictures) -> Pictures:
    """Put pictures and plots into sixteen frames."""
    if strategy == "cfas":
        pairs = [np.vstack(pair) for pair in zip(seen, heard, strict=True)]
        return [cv2.resize(p, (SIDE_PX, SIDE_PX)).astype(np.uint8) for p in pairs]
    if strategy == "sfas":
        return [v + a for v, a in zip(seen, heard, strict=True)]
    if strategy in ("ofos", "rfas"):
        return [p for pair in zip(seen, heard, strict=True) for p in pair]
    return heard + seen if strategy == "fslf" else seen + heard


def through_jpeg(pictures: Pictures, out: Path, name: str) -> Pictures:
    """Write every picture as JPEG, and read it again."""
    again: Pictures = []
    for number, picture in enumerate(pictures):
        path = str(out / f"{name}-{number:02}.jpg")
        cv2.imwrite(path, picture)
        found = cv2.imread(path)
        assert found is not None
        again.append(found.astype(np.uint8))
    return again


def encode(pictures: Pictures, path: Path) -> None:
    """Write a clip as MPEG-4."""
    code = cv2.VideoWriter.fourcc(*"mp4v")
    video = cv2.VideoWriter(str(path), code, FPS, (SIDE_PX, SIDE_PX))
    for picture in pictures:
        video.write(picture)
    video.release()


def read(path: Path) -> Pictures:
    """Read a clip whole."""
    video = cv2.VideoCapture(str(path))
    found: Pictures = []
    while True:
        there, picture = video.read()
        if not there:
            video.release()
            return found
        found.append(picture.astype(np.uint8))
