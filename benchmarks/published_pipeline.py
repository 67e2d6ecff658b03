"""The processing steps of the paper's published scripts, to measure their cost.

Our own code for the same steps, at the same sizes, with the libraries that the scripts
call:

1. Decode the whole video to full-size RGB at once (decord), and resize every frame to
   224 x 224.
2. Write the audio as a wave file of 44.1 kHz stereo (moviepy) and read it back, with
   left and right samples interleaved.
3. Cut it into overlapping windows, one per frame.
4. Compute thirteen cepstral coefficients every 0.1 ms from an explicit index table.
5. For each window, save a plot of four by four inches as JPEG (matplotlib), then read
   and resize it.
6. Pass every frame through JPEG again, and write the fused clip as MPEG-4.

These steps run once per strategy. Only the random strategy differs: it shuffles the
clips of the alternating one. Images are resized with OpenCV; the scripts use TensorFlow
for that.
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
"""Samples of 25 ms, of 0.1 ms, and of the transform, which crops each window."""
BANDS, COEFFICIENTS, LIFTER = 40, 13, 22
PLOT_INCHES = 4
FPS = 16

Images = list[NDArray[np.uint8]]


def write_fused_clip(
    path: Path, strategy: str, num_frames: int, num_windows: int, out: Path
) -> None:
    """Write one clip's input for one strategy, as JPEGs and an MPEG-4 file.

    "rfas" reads the output of "ofos" from the folder next to `out`.
    """
    fused_path = out / f"{path.stem}.mp4"
    if strategy == "rfas":  # shuffles a finished clip
        ofos_path = out.with_name("ofos") / fused_path.name
        images = read_frames(ofos_path, num_frames + num_windows, every=1)
        order = np.random.default_rng(0).permutation(len(images))
        encode(through_jpeg([images[index] for index in order], out), fused_path)
        return
    every = 6 if num_frames == 16 else 12
    frames = read_frames(path, num_frames, every=every) if num_frames else []
    plots = plot_windows(path, num_windows, out) if num_windows else []
    if strategy == "cfas":
        stacked = [np.vstack(pair) for pair in zip(frames, plots, strict=True)]
        fused = through_jpeg(stacked, out)
    else:
        fused = arrange(strategy, through_jpeg(frames, out), through_jpeg(plots, out))
    encode(fused, fused_path)


def read_frames(path: Path, count: int, *, every: int) -> Images:
    """Read and resize all frames of a clip, and return `count` of them."""
    video = decord.VideoReader(str(path), num_threads=1)
    frames = video.get_batch(range(len(video))).asnumpy()
    small = [cv2.resize(frame, SIZE_PX).astype(np.uint8) for frame in frames]
    return [small[min(every * n, len(small) - 1)] for n in range(count)]


def plot_windows(path: Path, count: int, out: Path) -> Images:
    """Plot the cepstral coefficients of overlapping windows of the whole audio."""
    audio = interleaved_audio(path, out / "sound.wav")
    step = len(audio) // (count + 1)
    plots: Images = []
    for number in range(count):
        coefficients = cepstrum(audio[number * step : (number + 2) * step])
        figure, axes = plt.subplots(figsize=(PLOT_INCHES, PLOT_INCHES))
        axes.matshow(coefficients.T, aspect="auto", origin="lower")
        axes.axis("off")
        figure.savefig(out / "plot.jpg")
        plt.close(figure)
        plots.append(read_resized(out / "plot.jpg"))
    return plots


def read_resized(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG and resize it."""
    with Image.open(path) as image:
        return np.asarray(image.resize(SIZE_PX), dtype=np.uint8)


def interleaved_audio(path: Path, wave: Path) -> NDArray[np.float64]:
    """Write the audio track as a file, and read it with interleaved channels."""
    with AudioFileClip(str(path)) as audio:
        audio.write_audiofile(str(wave), fps=RATE_HZ, logger=None)
    _, samples = wavfile.read(wave)
    return np.asarray((samples / np.abs(samples).max()).ravel())


def cepstrum(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mel-frequency cepstral coefficients every 0.1 ms."""
    emphasized = np.append(audio[0], audio[1:] - 0.97 * audio[:-1])
    starts = np.arange(0, len(emphasized) - WINDOW, HOP)
    offsets = np.tile(np.arange(WINDOW), (len(starts), 1))
    table = np.tile(starts, (WINDOW, 1)).T + offsets
    windows = emphasized[table.astype(np.int32)]
    windows *= np.hamming(WINDOW)
    power = np.square(np.abs(np.fft.rfft(windows, TRANSFORM))) / TRANSFORM
    bands = 20 * np.log10(np.maximum(power @ mel_filters().T, np.finfo(float).eps))
    coefficients = fft.dct(bands, norm="ortho")[:, 1 : COEFFICIENTS + 1]
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    return np.asarray(coefficients * lift)


@cache
def mel_filters() -> NDArray[np.float64]:
    """Return the triangular mel filters, one row per band."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    low, middle, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    bins_hz = np.linspace(0, RATE_HZ / 2, TRANSFORM // 2 + 1)
    sides = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    return np.asarray(np.minimum(*sides).clip(min=0))


def arrange(strategy: str, frames: Images, plots: Images) -> Images:
    """Arrange frames and plots into the sixteen frames of a strategy."""
    if strategy == "sfas":
        return [v + a for v, a in zip(frames, plots, strict=True)]
    if strategy == "ofos":
        return [image for pair in zip(frames, plots, strict=True) for image in pair]
    return plots + frames if strategy == "fslf" else frames + plots


def through_jpeg(images: Images, out: Path) -> Images:
    """Write every image as JPEG, read it back, and resize it."""
    decoded: Images = []
    for image in images:
        cv2.imwrite(str(out / "frame.jpg"), image)
        decoded.append(read_resized(out / "frame.jpg"))
    return decoded


def encode(images: Images, path: Path) -> None:
    """Write a clip as MPEG-4."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE_PX)
    for image in images:
        video.write(image)
    video.release()
