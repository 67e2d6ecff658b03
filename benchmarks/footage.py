"""Clips like RAVDESS': the generated ones filmed again, with noise and a bit rate."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from data import DATA, sample

FRAMES = 110
"""The median of RAVDESS' speech takes."""
FILES, QUICK_FILES = 8, 4
H264 = {"preset": "veryfast", "threads": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """How clips are filmed again."""

    folder: str
    bits_a_second: int
    noise: float
    """Standard deviation of what a sensor adds to brightness, of 255 levels."""


# RAVDESS' 4,904 video files of 3.7 s, mostly, take 24.4 GB.
RAVDESS = Film(folder="ravdess-like", bits_a_second=10_700_000, noise=2.0)
# A quarter of that decodes in a fifth of a second.
LIGHT = Film(folder="light", bits_a_second=2_500_000, noise=1.5)


def easy(files: int = FILES) -> list[Path]:
    """Give generated clips as `mmder-prep sample` writes them: small, soon decoded."""
    return sorted(sample(1).rglob("*.mp4"))[:files]


def filmed(film: Film, files: int = FILES) -> list[Path]:
    """Give clips of 110 frames at 720p, H.264 at a film's rate, and AAC."""
    out = DATA / film.folder
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for number, source in enumerate(easy(files)):
        path = out / source.name
        if not path.exists():
            part = path.with_name(f"{path.stem}.part.mp4")
            _film_again(source, part, film, np.random.default_rng(number))
            part.rename(path)
        made.append(path)
    return made


LIKE_RAVDESS, EASY = "720p like RAVDESS", "720p of mmder-prep sample"
SORTS: dict[str, Callable[[int], list[Path]]] = {
    LIKE_RAVDESS: partial(filmed, RAVDESS),
    "720p of 2.5 Mbit/s": partial(filmed, LIGHT),
    EASY: easy,
}
"""Gives so many clips of each sort."""


def _film_again(source: Path, path: Path, film: Film, rng: np.random.Generator) -> None:
    """Encode a clip anew, to and fro to its length; the sound is copied."""
    with av.open(str(source)) as container:
        shown = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        video = new.add_stream("libx264", rate=Fraction(30_000, 1001), options=H264)
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        video.bit_rate = film.bits_a_second
        heard = old.streams.audio[0]
        audio = new.add_stream_from_template(heard)
        for packet in old.demux(heard):
            if packet.dts is not None:
                packet.stream = audio
                new.mux(packet)
        to_and_fro = shown + shown[-2:0:-1]
        grain = rng.normal(0, film.noise, (8, 720, 1280)).astype(np.float32)
        for number in range(FRAMES):
            planes = to_and_fro[number % len(to_and_fro)].copy()
            noisy = planes[:720] + np.roll(grain[number % 8], 7 * number, axis=1)
            planes[:720] = noisy.round().clip(16, 235).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            new.mux(video.encode(frame))
        new.mux(video.encode(None))


def manifest(path: Path, clips: list[Path], count: int) -> Path:
    """List so many clips for `mmder-prep manifest --root`, files again and again."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip_id", "path", "emotion", "speaker"])
        for number in range(count):
            clip = clips[number % len(clips)]
            rows.writerow(
                [
                    f"{number:06d}",
                    str(clip.relative_to(DATA)),
                    "happy",
                    f"s{number % 5}",
                ]
            )
    return path
