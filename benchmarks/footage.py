"""Clips like those of RAVDESS: generated ones, re-encoded with noise and a bit rate."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from data import DATA, generate_corpus

FRAMES = 110
"""Number of frames per clip: the median of RAVDESS' speech takes."""
FILES, QUICK_FILES = 8, 4
H264 = {"preset": "veryfast", "threads": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeSettings:
    """Settings with which clips are re-encoded."""

    folder: str
    bits_per_second: int
    noise: float
    """Standard deviation of the sensor noise in luma, on a scale of 255."""


# RAVDESS' 4,904 video files of 3.7 s, mostly, take 24.4 GB.
RAVDESS = EncodeSettings(folder="ravdess-like", bits_per_second=10_700_000, noise=2.0)
# A quarter of that bit rate decodes in a fifth of a second.
LIGHT = EncodeSettings(folder="light", bits_per_second=2_500_000, noise=1.5)


def sample_clips(files: int = FILES) -> list[Path]:
    """Return clips of `mmder-prep sample`: small files that decode fast."""
    return sorted(generate_corpus(1).rglob("*.mp4"))[:files]


def reencoded_clips(settings: EncodeSettings, files: int = FILES) -> list[Path]:
    """Return clips of 110 frames at 720p in H.264 and AAC; encode the missing ones."""
    out = DATA / settings.folder
    out.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, source in enumerate(sample_clips(files)):
        path = out / source.name
        if not path.exists():
            draft = path.with_name(f"{path.stem}.part.mp4")
            _reencode(source, draft, settings, np.random.default_rng(number))
            draft.rename(path)
        clips.append(path)
    return clips


LIKE_RAVDESS, EASY = "720p like RAVDESS", "720p of mmder-prep sample"
CLIP_KINDS: dict[str, Callable[[int], list[Path]]] = {
    LIKE_RAVDESS: partial(reencoded_clips, RAVDESS),
    "720p of 2.5 Mbit/s": partial(reencoded_clips, LIGHT),
    EASY: sample_clips,
}
"""By kind of clip, a function that returns the given number of clips."""


def _reencode(
    source: Path, path: Path, settings: EncodeSettings, rng: np.random.Generator
) -> None:
    """Encode a clip again, playing it forward and backward; the audio is copied."""
    with av.open(str(source)) as container:
        frames = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        video = new.add_stream("libx264", rate=Fraction(30_000, 1001), options=H264)
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        video.bit_rate = settings.bits_per_second
        old_audio = old.streams.audio[0]
        audio = new.add_stream_from_template(old_audio)
        for packet in old.demux(old_audio):
            if packet.dts is not None:
                packet.stream = audio
                new.mux(packet)
        loop = frames + frames[-2:0:-1]
        grain = rng.normal(0, settings.noise, (8, 720, 1280)).astype(np.float32)
        for number in range(FRAMES):
            planes = loop[number % len(loop)].copy()
            noisy = planes[:720] + np.roll(grain[number % 8], 7 * number, axis=1)
            planes[:720] = noisy.round().clip(16, 235).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            new.mux(video.encode(frame))
        new.mux(video.encode(None))


def write_manifest(path: Path, clips: list[Path], count: int) -> Path:
    """Write a CSV for `mmder-prep manifest --root` that lists `count` clips.

    The files repeat in order until `count` rows are written.
    """
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
