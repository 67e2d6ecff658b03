"""CPU time of a clip's eight inputs from its media file: mmder and published scripts.

The eight inputs are six strategies and two single modalities. The paper's scripts read
the media file once for each (see `published_pipeline.py`). mmder makes one row of a
store and fuses all inputs from it. CPU time counts the process and its children.
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
from footage import CLIP_KINDS, EASY, FILES
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_store.settings import PrepSettings
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from prep_against_decode import shard_task
from published_pipeline import write_fused_clip
from record import Figure, Times, interleaved, main

LOOK = RenderSettings(spectrogram="mfcc", colormap="viridis", spectrogram_norm="window")
CLIPS = 2
"""Number of clips on which the published scripts are timed; mmder's shard has eight."""
GOAL = 100.0


def measure(quick: bool) -> list[Figure]:
    """Time the published scripts per strategy, and mmder once for all strategies."""
    figures = []
    for kind in (EASY,) if quick else CLIP_KINDS:
        clips = CLIP_KINDS[kind](FILES)
        few_clips = clips[: 1 if quick else CLIPS]
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            tasks: dict[str, Callable[[], object]] = {
                "mmder, one row of a store": shard_task(clips, Path(folder)),
                "mmder, eight inputs of it": partial(fuse_all, prepare_rows(clips)),
            }
            counts = dict.fromkeys(tasks, len(clips))
            for name, strategy in STRATEGIES.items():
                task = f"published, {name}"
                out = Path(folder) / name
                tasks[task] = partial(run_published, few_clips, strategy, out)
                counts[task] = len(few_clips)
                out.mkdir()
            tasks["published, ofos"]()  # "rfas" reads its output and may come first
            times = interleaved(tasks, rounds=1 if quick else 5, clock=total_cpu_s)
        per_clip_s = {
            name: [t / counts[name] for t in times[name]] for name in sorted(times)
        }
        figures += [
            Figure(
                name=f"{kind}: {name}",
                value=median(seconds),
                unit="s CPU/clip",
                better="less",
            )
            for name, seconds in per_clip_s.items()
        ]
        figures += ratio_figures(kind, per_clip_s)
    return figures


def ratio_figures(kind: str, per_clip_s: Times) -> list[Figure]:
    """Return the ratio of published time to mmder's, as medians over the rounds."""
    row = per_clip_s["mmder, one row of a store"]
    fusing = per_clip_s["mmder, eight inputs of it"]
    published = [s for name, s in per_clip_s.items() if name.startswith("published")]
    eight = [sum(turn) for turn in zip(*published, strict=True)]
    both = [r + f for r, f in zip(row, fusing, strict=True)]
    return [
        Figure(
            name=f"{kind}: eight inputs, published / mmder's {label}",
            value=median(a / b for a, b in zip(eight, ours, strict=True)),
            unit="x",
            better="more",
            goal=goal,
        )
        for label, ours, goal in (
            ("row", row, GOAL),
            ("row and eight fusions", both, None),
        )
    ]


def total_cpu_s() -> float:
    """Return the CPU time so far of this process and of its finished children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_published(clips: list[Path], strategy: Strategy, out: Path) -> None:
    """Make the input of one strategy for each clip with the published steps."""
    for clip in clips:
        write_fused_clip(clip, strategy.name, strategy.frames, strategy.windows, out)


def prepare_rows(clips: list[Path]) -> list[dict[str, torch.Tensor]]:
    """Prepare clips and return the arrays that the trainer reads of each."""
    rows = []
    for path in clips:
        clip = Clip(clip_id=path.name, source=Source(path))
        arrays = prepare_clip(clip, PrepSettings(), device="cpu").arrays
        names = ("frames", "mfcc_16", "mfcc_8")
        rows.append({name: torch.from_numpy(arrays[name])[None] for name in names})
    return rows


def fuse_all(rows: list[dict[str, torch.Tensor]]) -> None:
    """Fuse all eight inputs of each row, as the trainer does."""
    for row in rows:
        for strategy in STRATEGIES.values():
            frames = (
                row["frames"][:, :: 16 // strategy.frames] if strategy.frames else None
            )
            audio = row[f"mfcc_{strategy.windows}"] if strategy.windows else None
            permutations = frame_permutations(["clip"], seed=0)
            fuse(frames, audio, permutations, strategy=strategy, settings=LOOK)


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in worker_template.ENVIRONMENT.items()):
        # The environment of a worker is read when a process starts: start again in it.
        environment = {**os.environ, **worker_template.ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    main(measure)
