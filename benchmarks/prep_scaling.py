"""Scaling of `mmder-prep` with workers: clips per second, start-up, memory, scheduler.

The wall time of the whole program is measured on few and on many clips, which separates
start-up from the time per clip; no other load should be on the machine. For comparison,
two independent processes prepare the same clips: their speed divided by that of one
process is the limit of the machine. Finally, 10,000 empty jobs run on the same
scheduler. Their CPU time limits the number of workers that one scheduler keeps busy.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from data import DATA
from footage import sample_clips, write_manifest
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.cluster import REPORT_INTERVAL_S, open_cluster
from mmder_prep.pipeline.prepare_clip import prepare_clip, warm_up
from mmder_store.schema import SHARD_CLIPS
from mmder_store.settings import PrepSettings
from record import Figure, main
from resource_usage import ResourceUsage, run_measured

FEW, MANY = 32, 192
JOBS, QUICK_JOBS = 10_000, 1_000
ROUNDS = 3
READY_TIMEOUT_S = 60.0
"""Time limit for a process to load its libraries and models."""
CLIP_S = 0.2
"""Least time that a worker needs per clip."""
MANY_CLIPS, MANY_WORKERS = 1_000_000, 1_000
"""Size of a large cluster run, for which the scheduler's load is extrapolated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmptyJob:
    """A job that does nothing."""

    shard: int


def measure(quick: bool) -> list[Figure]:
    """Measure the scheduler, and in a full run also one and two workers."""
    figures = scheduler_figures(QUICK_JOBS if quick else JOBS)
    return figures if quick else program_figures(sample_clips()) + figures


def program_figures(clips: list[Path]) -> list[Figure]:
    """Return clips per second, start-up time and peak memory of the program."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    starts: dict[int, list[float]] = {1: [], 2: []}
    peaks: list[float] = []
    machine: list[float] = []
    for _ in range(ROUNDS):
        machine.append(independent_rate(clips, 2) / independent_rate(clips, 1))
        for workers, rate in rates.items():
            few, many = (run_prep(clips, n, workers) for n in (FEW, MANY))
            rate.append((MANY - FEW) / (many.wall_s - few.wall_s))
            starts[workers].append(few.wall_s - FEW / rate[-1])
            peaks.append(many.peak_mib)
    figures = [
        Figure(
            name=f"{workers} worker{'s' * (workers > 1)}",
            value=median(rate),
            unit="clips/s",
            better="more",
        )
        for workers, rate in rates.items()
    ]
    speedups = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return [
        *figures,
        Figure(
            name="two workers / one",
            value=median(speedups),
            unit="x",
            better="more",
            goal=1.85,
        ),
        Figure(
            name="two processes that share nothing / one",
            value=median(machine),
            unit="x",
            better="more",
        ),
        Figure(
            name="start-up, until the first clip begins",
            value=median(starts[2]),
            unit="s",
            better="less",
            goal=6.0,
        ),
        Figure(
            name="peak memory of the largest process",
            value=max(peaks),
            unit="MiB",
            better="less",
        ),
    ]


def independent_rate(clips: list[Path], processes: int) -> float:
    """Return the clips per second of independent processes, all together."""
    context = multiprocessing.get_context("spawn")
    start_line = context.Barrier(processes + 1, timeout=READY_TIMEOUT_S)
    clips_each = (MANY - FEW) // processes
    running = [
        context.Process(target=prepare_clips, args=(clips, clips_each, start_line))
        for _ in range(processes)
    ]
    environment = dict(os.environ)
    # The environment of a worker; the program sets it by itself.
    os.environ.update(worker_template.ENVIRONMENT)
    try:
        for process in running:
            process.start()
    finally:
        os.environ.clear()
        os.environ.update(environment)
    start_line.wait()
    start = time.perf_counter()
    for process in running:
        process.join()
    return clips_each * processes / (time.perf_counter() - start)


def prepare_clips(paths: list[Path], count: int, start_line: Barrier) -> None:
    """Prepare `count` clips once all other processes are ready."""
    settings = PrepSettings()
    clips = [Clip(clip_id=path.name, source=Source(path)) for path in paths]
    warm_up(settings, "cpu")
    start_line.wait()
    for clip in islice(cycle(clips), count):
        prepare_clip(clip, settings, device="cpu")


def run_prep(clips: list[Path], count: int, workers: int) -> ResourceUsage:
    """Run `mmder-prep` on `count` clips and return its time and memory."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        listing = write_manifest(Path(folder) / "clips.csv", clips, count)
        program = Path(sys.executable).with_name("mmder-prep")
        options = ["--root", DATA, "--out", f"{folder}/store", "--workers", workers]
        return run_measured([program, "manifest", listing, *options])


def scheduler_figures(jobs: int) -> list[Figure]:
    """Return the CPU time of the scheduler's process per job, message and clip."""
    with open_cluster(workers=2, scheduler=None) as cluster:
        messages: list[str] = []
        for function, count in ((do_nothing, 100), (do_nothing, jobs), (report, jobs)):
            start = time.process_time()
            empty_jobs = [EmptyJob(shard=n) for n in range(count)]
            finished = sum(
                1
                for _ in cluster.run_jobs(
                    function, empty_jobs, tick=messages.append, warn=print
                )
            )
            cpu_s = time.process_time() - start
            if finished != count:
                sys.exit(f"{finished} of {count} jobs came back")
            if function is do_nothing:
                job_s = cpu_s / count
        message_s = max(0.0, cpu_s / jobs - job_s)
    messages_per_job = 1 + int(SHARD_CLIPS * CLIP_S / REPORT_INTERVAL_S)
    clip_s = (job_s + messages_per_job * message_s) / SHARD_CLIPS
    many_clips_s = MANY_CLIPS * clip_s
    return [
        Figure(
            name="scheduler, a job that does nothing",
            value=1000 * job_s,
            unit="ms CPU",
            better="less",
        ),
        Figure(
            name="scheduler, a message of clips done",
            value=1000 * message_s,
            unit="ms CPU",
            better="less",
        ),
        Figure(
            name=f"scheduler, a clip, {SHARD_CLIPS} a job",
            value=1000 * clip_s,
            unit="ms CPU",
            better="less",
            goal=2.0,
        ),
        Figure(
            name="scheduler, a million clips, however many workers",
            value=many_clips_s,
            unit="s CPU",
            better="less",
        ),
        Figure(
            name=f"least a clip must take for {MANY_WORKERS:,} busy workers",
            value=MANY_WORKERS * many_clips_s / MANY_CLIPS,
            unit="s",
            better="less",
        ),
    ]


def do_nothing(_job: EmptyJob, _tick: Callable[[str], None]) -> None:
    """Do nothing."""


def report(_job: EmptyJob, tick: Callable[[str], None]) -> None:
    """Do nothing, and report one finished clip."""
    tick("ok")


if __name__ == "__main__":
    main(measure)
