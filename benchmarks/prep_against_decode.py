"""All of `mmder-prep` a clip against the limit: only decoding the same pictures.

CPU time of one process that makes a shard, as a worker does: hash, decode, find and cut
the face, transform the sound, compress, write. Against PyAV with one thread decoding as
many pictures as that needs, and no sound. In full also the whole program with its
scheduler, for two numbers of clips: the difference is what a clip costs.
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
from footage import EASY, FILES, LIKE_RAVDESS, QUICK_FILES, SORTS, manifest
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import shard_jobs
from mmder_store.settings import PAPER_STEP_FRAMES, STEP_FPS, PrepSettings
from mmder_store.store import create
from mmder_store.store_spec import StoreSpec
from record import Figure, interleaved, main, ratio
from spent import spent

PICTURES = round(15 * PAPER_STEP_FRAMES / STEP_FPS * 30_000 / 1001) + 2
"""Up to the last one taken, and the one after it, which tells that it is the last."""
SETTINGS = PrepSettings()
FEW, MANY = 16, 80


def measure(quick: bool) -> list[Figure]:
    """Compare on clips of RAVDESS' bit rate, and on smaller ones."""
    figures = []
    for sort in (LIKE_RAVDESS, EASY) if quick else SORTS:
        clips = SORTS[sort](QUICK_FILES if quick else FILES)
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            times = interleaved(
                {
                    "prepare": shard_of(clips, Path(folder)),
                    "decode": partial(decode, clips),
                },
                rounds=3 if quick else 9,
                clock=time.process_time,
            )
        for name in ("prepare", "decode"):
            ms = 1000 * median(times[name]) / len(clips)
            named = f"{sort}: {name}"
            figures.append(
                Figure(name=named, value=ms, unit="ms CPU a clip", better="less")
            )
        figures.append(
            Figure(
                name=f"{sort}: prepare / decode",
                value=ratio(times, "prepare", "decode"),
                unit="x",
                better="less",
                goal=None if sort == EASY else 1.5,
            )
        )
        if not quick:
            figures += program(sort, clips, median(times["decode"]) / len(clips))
    return figures


def decode(paths: list[Path]) -> None:
    """Decode the first pictures of each clip, one thread, nothing kept."""
    for path in paths:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            for number, _ in enumerate(container.decode(video), start=1):
                if number == PICTURES:
                    break


def shard_of(clips: list[Path], folder: Path) -> Callable[[], None]:
    """Give what makes one shard of clips from the beginning, as a worker does."""
    listed = [Clip(clip_id=c.name, source=Source(c)) for c in clips]
    spec = StoreSpec(
        corpus="bench",
        clips=len(listed),
        settings=SETTINGS,
        label_sets=(),
        protocols=(),
        manifest_sha256="",
        shard_clips=len(listed),
    )
    row = prepare_clip(listed[0], SETTINGS, device="cpu")
    if row.status != "ok":
        sys.exit(f"{clips[0]}: {row.status} ({row.reason})")

    def make() -> None:
        store = folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        create(store, spec)
        (job,) = shard_jobs(
            listed,
            store=str(store),
            shard_clips=len(listed),
            settings=SETTINGS,
            device="cpu",
            run="bench",
        )
        make_shard(job, lambda _: None)

    return make


def program(sort: str, clips: list[Path], decode_s: float) -> list[Figure]:
    """Run `mmder-prep` whole on few and on many clips: start-up, and cost of a clip."""
    few_s, many_s = [], []
    for _ in range(3):
        few_s.append(program_cpu_s(clips, FEW))
        many_s.append(program_cpu_s(clips, MANY))
    clip_s = median((m - f) / (MANY - FEW) for f, m in zip(few_s, many_s, strict=True))
    name = f"{sort}: mmder-prep"
    return [
        Figure(
            name=f"{name}, a clip more",
            value=1000 * clip_s,
            unit="ms CPU a clip",
            better="less",
        ),
        Figure(
            name=f"{name}, a clip more / decode",
            value=clip_s / decode_s,
            unit="x",
            better="less",
            goal=None if sort == EASY else 1.5,
        ),
        Figure(
            name=f"{name}, start-up of program and one worker",
            value=median(few_s) - FEW * clip_s,
            unit="s CPU",
            better="less",
        ),
    ]


def program_cpu_s(clips: list[Path], count: int) -> float:
    """Give the CPU time of the program and of its worker."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        listed = manifest(Path(folder) / "clips.csv", clips, count)
        command = [Path(sys.executable).with_name("mmder-prep"), "manifest", listed]
        more = ["--root", str(DATA), "--out", f"{folder}/store", "--workers", "1"]
        return spent([*command, *more]).cpu_s


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in worker_template.ENVIRONMENT.items()):
        # Read when a process starts: the environment of a worker.
        environment = {**os.environ, **worker_template.ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    cv2.setNumThreads(1)
    main(measure)
