"""What the paper's published scripts do to a clip, written anew for its cost alone.

The same steps on the same sizes, with the libraries they call: decode the whole video
to full-size RGB at once (decord) and squash every picture to 224, write the sound as a
wave file of 44.1 kHz stereo (moviepy) and read it again, left and right in turn, cut as
many overlapping windows as there are pictures of it, thirteen cepstral coefficients
every 0.1 ms from an explicit table of samples, a plot of four by four inches saved as
JPEG by matplotlib for each, read and squashed, every frame through JPEG once more, and
the fused clip written as MPEG-4. Once for each strategy, but the random one, which
shuffles the clips of the alternating one. Pictures are resized with OpenCV where the
scripts take TensorFlow.
"""

from functools import cache
from pathlib import Path

import cv2
import decord
import numpy as np
from matplotlib import pyplot as plt
from moviepy import AudioFileClip
from numpy.typing import NDArray
from PIL import Image
from scipy import fft
from scipy.io import wavfile

SIDE_PX = 224
SIZE_PX = (SIDE_PX, SIDE_PX)
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
    """Make one clip's input of one strategy, as JPEGs and an MPEG-4 file.

    "rfas" wants the one of "ofos" in the folder beside.
    """
    made = out / f"{path.stem}.mp4"
    if strategy == "rfas":  # shuffles a finished clip
        found = shown(out.with_name("ofos") / made.name, pictures + windows, every=1)
        order = np.random.default_rng(0).permutation(len(found))
        encode(through_jpeg([found[place] for place in order], out), made)
        return
    every = 6 if pictures == 16 else 12
    seen = shown(path, pictures, every=every) if pictures else []
    heard = plots(path, windows, out) if windows else []
    if strategy == "cfas":
        joined = [np.vstack(pair) for pair in zip(seen, heard, strict=True)]
        fused = through_jpeg(joined, out)
    else:
        fused = fuse(strategy, through_jpeg(seen, out), through_jpeg(heard, out))
    encode(fused, made)


def shown(path: Path, count: int, *, every: int) -> Pictures:
    """Read and squash every picture of a clip, and take so many."""
    video = decord.VideoReader(str(path), num_threads=1)
    whole = video.get_batch(range(len(video))).asnumpy()
    small = [cv2.resize(picture, SIZE_PX).astype(np.uint8) for picture in whole]
    return [small[min(every * n, len(small) - 1)] for n in range(count)]


def plots(path: Path, count: int, out: Path) -> Pictures:
    """Plot the coefficients of overlapping windows of the whole clip's sound."""
    sound = interleaved_sound(path, out / "sound.wav")
    step = len(sound) // (count + 1)
    made: Pictures = []
    for number in range(count):
        found = cepstrum(sound[number * step : (number + 2) * step])
        figure, axes = plt.subplots(figsize=(PLOT_INCHES, PLOT_INCHES))
        axes.matshow(found.T, aspect="auto", origin="lower")
        axes.axis("off")
        figure.savefig(out / "plot.jpg")
        plt.close(figure)
        made.append(squashed(out / "plot.jpg"))
    return made


def squashed(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG and squash it."""
    with Image.open(path) as picture:
        return np.asarray(picture.resize(SIZE_PX), dtype=np.uint8)


def interleaved_sound(path: Path, wave: Path) -> NDArray[np.float64]:
    """Write the whole sound track as a file, and read it, left and right in turn."""
    with AudioFileClip(str(path)) as sound:
        sound.write_audiofile(str(wave), fps=RATE_HZ, logger=None)
    _, samples = wavfile.read(wave)
    return np.asarray((samples / np.abs(samples).max()).ravel())


def cepstrum(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give mel-frequency cepstral coefficients every 0.1 ms."""
    emphasised = np.append(sound[0], sound[1:] - 0.97 * sound[:-1])
    starts = np.arange(0, len(emphasised) - WINDOW, HOP)
    inside = np.tile(np.arange(WINDOW), (len(starts), 1))
    table = np.tile(starts, (WINDOW, 1)).T + inside
    pieces = emphasised[table.astype(np.int32)]
    pieces *= np.hamming(WINDOW)
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
    if strategy == "sfas":
        return [v + a for v, a in zip(seen, heard, strict=True)]
    if strategy == "ofos":
        return [p for pair in zip(seen, heard, strict=True) for p in pair]
    return heard + seen if strategy == "fslf" else seen + heard


def through_jpeg(pictures: Pictures, out: Path) -> Pictures:
    """Write every picture as JPEG, read it again, and squash it."""
    again: Pictures = []
    for picture in pictures:
        cv2.imwrite(str(out / "frame.jpg"), picture)
        again.append(squashed(out / "frame.jpg"))
    return again


def encode(pictures: Pictures, path: Path) -> None:
    """Write a clip as MPEG-4."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE_PX)
    for picture in pictures:
        video.write(picture)
    video.release()
