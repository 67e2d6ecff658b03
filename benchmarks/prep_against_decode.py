"""CPU time per clip of all of `mmder-prep`, compared with decoding only.

The first is the CPU time of one process that makes a shard as a worker does: hash,
decode, find and crop the face, compute spectrograms, compress, write. Decoding only is
the lower limit: PyAV with one thread, as many frames as preparation needs, no audio. A
full run also measures the whole program with its scheduler for two numbers of clips;
the difference is the cost per clip.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import av
import cv2

from data import DATA
from footage import CLIP_KINDS, EASY, FILES, LIKE_RAVDESS, QUICK_FILES, write_manifest
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import shard_jobs
from mmder_store.settings import PAPER_STEP_FRAMES, STEP_FPS, PrepSettings
from mmder_store.store_spec import StoreSpec
from mmder_store.writer import create
from record import Figure, interleaved, main, ratio
from resource_usage import run_measured

DECODED_FRAMES = round(15 * PAPER_STEP_FRAMES / STEP_FPS * 30_000 / 1001) + 2
"""Frames up to the last one taken, and the next, which shows that it is the last."""
SETTINGS = PrepSettings()
FEW, MANY = 16, 80


def measure(quick: bool) -> list[Figure]:
    """Compare preparation and decoding on clips of RAVDESS' bit rate and lower."""
    figures = []
    for kind in (LIKE_RAVDESS, EASY) if quick else CLIP_KINDS:
        clips = CLIP_KINDS[kind](QUICK_FILES if quick else FILES)
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            times = interleaved(
                {
                    "prepare": shard_task(clips, Path(folder)),
                    "decode": partial(decode, clips),
                },
                rounds=3 if quick else 9,
                clock=time.process_time,
            )
        for name in ("prepare", "decode"):
            ms = 1000 * median(times[name]) / len(clips)
            figures.append(
                Figure(
                    name=f"{kind}: {name}", value=ms, unit="ms CPU/clip", better="less"
                )
            )
        figures.append(
            Figure(
                name=f"{kind}: prepare / decode",
                value=ratio(times, "prepare", "decode"),
                unit="x",
                better="less",
                goal=None if kind == EASY else 1.5,
            )
        )
        if not quick:
            decode_s = median(times["decode"]) / len(clips)
            figures += program_figures(kind, clips, decode_s)
    return figures


def decode(paths: list[Path]) -> None:
    """Decode the first frames of each clip with one thread, and keep none."""
    for path in paths:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            for number, _ in enumerate(container.decode(video), start=1):
                if number == DECODED_FRAMES:
                    break


def shard_task(clips: list[Path], folder: Path) -> Callable[[], None]:
    """Return a task that makes one shard of clips from scratch, as a worker does."""
    clip_list = [Clip(clip_id=c.name, source=Source(c)) for c in clips]
    spec = StoreSpec(
        corpus="bench",
        clips=len(clip_list),
        settings=SETTINGS,
        label_sets=(),
        protocols=(),
        manifest_sha256="",
        shard_clips=len(clip_list),
    )
    row = prepare_clip(clip_list[0], SETTINGS, device="cpu")
    if row.status != "ok":
        sys.exit(f"{clips[0]}: {row.status} ({row.reason})")

    def make() -> None:
        store = folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        create(store, spec)
        (job,) = shard_jobs(
            clip_list,
            store=str(store),
            shard_clips=len(clip_list),
            settings=SETTINGS,
            device="cpu",
            run="bench",
        )
        make_shard(job, lambda _: None)

    return make


def program_figures(kind: str, clips: list[Path], decode_s: float) -> list[Figure]:
    """Run all of `mmder-prep` on few and on many clips: start-up and cost per clip."""
    few_s, many_s = [], []
    for _ in range(3):
        few_s.append(program_cpu_s(clips, FEW))
        many_s.append(program_cpu_s(clips, MANY))
    clip_s = median((m - f) / (MANY - FEW) for f, m in zip(few_s, many_s, strict=True))
    name = f"{kind}: mmder-prep"
    return [
        Figure(
            name=f"{name}, a clip more",
            value=1000 * clip_s,
            unit="ms CPU/clip",
            better="less",
        ),
        Figure(
            name=f"{name}, a clip more / decode",
            value=clip_s / decode_s,
            unit="x",
            better="less",
            goal=None if kind == EASY else 1.5,
        ),
        Figure(
            name=f"{name}, start-up of program and one worker",
            value=median(few_s) - FEW * clip_s,
            unit="s CPU",
            better="less",
        ),
    ]


def program_cpu_s(clips: list[Path], count: int) -> float:
    """Return the CPU time of the program and its single worker in seconds."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        listing = write_manifest(Path(folder) / "clips.csv", clips, count)
        command = [Path(sys.executable).with_name("mmder-prep"), "manifest", listing]
        options = ["--root", str(DATA), "--out", f"{folder}/store", "--workers", "1"]
        return run_measured([*command, *options]).cpu_s


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in worker_template.ENVIRONMENT.items()):
        # The environment of a worker is read when a process starts: start again in it.
        environment = {**os.environ, **worker_template.ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    cv2.setNumThreads(1)
    main(measure)
