"""A clip's eight inputs, from the media file: mmder against the published way.

Six strategies and two single modalities. The paper's scripts go through the media once
for each (see `release.py`); mmder makes one row of a store, and fuses from it on the
fly. CPU time of the process and of what it starts.
"""

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import torch

from data import DATA
from footage import EASY, FILES, SORTS
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_store.settings import PrepSettings
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from prep_against_decode import shard_of
from record import Figure, Times, interleaved, main
from release import fused_clip

LOOK = RenderSettings(spectrogram="mfcc", colormap="viridis", spectrogram_norm="window")
CLIPS = 2
"""That the published way is timed on; mmder has all eight in its shard."""
GOAL = 100.0


def measure(quick: bool) -> list[Figure]:
    """Time the published way strategy by strategy, and mmder once for all."""
    figures = []
    for sort in (EASY,) if quick else SORTS:
        clips = SORTS[sort](FILES)
        some = clips[: 1 if quick else CLIPS]
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            tasks: dict[str, Callable[[], object]] = {
                "mmder, one row of a store": shard_of(clips, Path(folder)),
                "mmder, eight inputs of it": partial(fuse_all, rows_of(clips)),
            }
            counts = dict.fromkeys(tasks, len(clips))
            for name, strategy in STRATEGIES.items():
                task = f"published, {name}"
                tasks[task] = partial(published, some, strategy, Path(folder) / name)
                counts[task] = len(some)
                (Path(folder) / name).mkdir()
            tasks["published, ofos"]()  # "rfas" may come first
            times = interleaved(tasks, rounds=1 if quick else 5, clock=cpu_s)
        of = {name: [t / counts[name] for t in times[name]] for name in sorted(times)}
        figures += [
            Figure(
                name=f"{sort}: {name}",
                value=median(took),
                unit="s CPU a clip",
                better="less",
            )
            for name, took in of.items()
        ]
        figures += ratios(sort, of)
    return figures


def ratios(sort: str, of: Times) -> list[Figure]:
    """Give how many times as much the published way takes, round by round."""
    row, fusing = of["mmder, one row of a store"], of["mmder, eight inputs of it"]
    theirs = [took for name, took in of.items() if name.startswith("published")]
    eight = [sum(turn) for turn in zip(*theirs, strict=True)]
    both = [r + f for r, f in zip(row, fusing, strict=True)]
    return [
        Figure(
            name=f"{sort}: eight inputs, published / mmder's {what}",
            value=median(a / b for a, b in zip(eight, ours, strict=True)),
            unit="x",
            better="more",
            goal=goal,
        )
        for what, ours, goal in (
            ("row", row, GOAL),
            ("row and eight fusions", both, None),
        )
    ]


def cpu_s() -> float:
    """Give the CPU time so far of this process, and of those it started and ended."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(s.ru_utime + s.ru_stime for s in spent)


def published(clips: list[Path], strategy: Strategy, out: Path) -> None:
    """Make one strategy's input of each clip in the published way."""
    for clip in clips:
        fused_clip(clip, strategy.name, strategy.frames, strategy.windows, out)


def rows_of(clips: list[Path]) -> list[dict[str, torch.Tensor]]:
    """Prepare clips, and keep what the trainer would read of them."""
    rows = []
    for path in clips:
        clip = Clip(clip_id=path.name, source=Source(path))
        arrays = prepare_clip(clip, PrepSettings(), device="cpu").arrays
        wanted = ("frames", "mfcc_16", "mfcc_8")
        rows.append({name: torch.from_numpy(arrays[name])[None] for name in wanted})
    return rows


def fuse_all(rows: list[dict[str, torch.Tensor]]) -> None:
    """Make all eight inputs of each row, as the trainer does."""
    for row in rows:
        for strategy in STRATEGIES.values():
            frames = (
                row["frames"][:, :: 16 // strategy.frames] if strategy.frames else None
            )
            sound = row[f"mfcc_{strategy.windows}"] if strategy.windows else None
            places = frame_permutations(["clip"], seed=0)
            fuse(frames, sound, places, strategy=strategy, look=LOOK)


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in worker_template.ENVIRONMENT.items()):
        # Read when a process starts: the environment of a worker.
        environment = {**os.environ, **worker_template.ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    main(measure)
