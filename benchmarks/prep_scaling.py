"""`mmder-prep` with more workers: clips a second, start-up, memory, the scheduler.

Wall time of the whole program on few and on many clips, so that start-up and clips can
be told apart; no other load should be on the machine. Beside it, what the machine
gives: two processes that prepare the same clips and know nothing of each other, by one.
And 10,000 jobs that do nothing, on the same scheduler: what it takes of its one
process, and what that means elsewhere.
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
from footage import easy, manifest
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline import worker_template
from mmder_prep.pipeline.cluster import REPORT_INTERVAL_S, open_cluster
from mmder_prep.pipeline.prepare_clip import prepare_clip, warm_up
from mmder_store.schema import SHARD_CLIPS
from mmder_store.settings import PrepSettings
from record import Figure, main
from spent import Spent, spent

FEW, MANY = 32, 192
JOBS, QUICK_JOBS = 10_000, 1_000
ROUNDS = 3
READY_S = 60.0
"""Within which a process has loaded what it needs."""
CLIP_S = 0.2
"""What a clip takes a worker, at the least."""
ELSEWHERE_CLIPS, ELSEWHERE_WORKERS = 1_000_000, 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    """A job that does nothing."""

    shard: int


def measure(quick: bool) -> list[Figure]:
    """Measure the scheduler, and in full the program with one and with two workers."""
    figures = scheduler(QUICK_JOBS if quick else JOBS)
    return figures if quick else program(easy()) + figures


def program(clips: list[Path]) -> list[Figure]:
    """Give clips a second, start-up and memory."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    starts: dict[int, list[float]] = {1: [], 2: []}
    peaks: list[float] = []
    machine: list[float] = []
    for _ in range(ROUNDS):
        machine.append(apart(clips, 2) / apart(clips, 1))
        for workers, rate in rates.items():
            few, many = (run(clips, n, workers) for n in (FEW, MANY))
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
    times = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return [
        *figures,
        Figure(
            name="two workers / one",
            value=median(times),
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


def apart(clips: list[Path], processes: int) -> float:
    """Give clips a second of processes that know nothing of each other."""
    context = multiprocessing.get_context("spawn")
    line = context.Barrier(processes + 1, timeout=READY_S)
    each = (MANY - FEW) // processes
    started = [
        context.Process(target=prepare_some, args=(clips, each, line))
        for _ in range(processes)
    ]
    before = dict(os.environ)
    os.environ.update(
        worker_template.ENVIRONMENT
    )  # of a worker; the program sets its own
    try:
        for process in started:
            process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    line.wait()
    start = time.perf_counter()
    for process in started:
        process.join()
    return each * processes / (time.perf_counter() - start)


def prepare_some(paths: list[Path], count: int, line: Barrier) -> None:
    """Prepare so many clips once all others are ready to."""
    settings = PrepSettings()
    clips = [Clip(clip_id=path.name, source=Source(path)) for path in paths]
    warm_up(settings, "cpu")
    line.wait()
    for clip in islice(cycle(clips), count):
        prepare_clip(clip, settings, device="cpu")


def run(clips: list[Path], count: int, workers: int) -> Spent:
    """Run the program on so many clips."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        listed = manifest(Path(folder) / "clips.csv", clips, count)
        program = Path(sys.executable).with_name("mmder-prep")
        more = ["--root", DATA, "--out", f"{folder}/store", "--workers", workers]
        return spent([program, "manifest", listed, *more])


def scheduler(jobs: int) -> list[Figure]:
    """Give the CPU time of the scheduler's process for a job, and for a clip of one."""
    with open_cluster(workers=2, scheduler=None) as cluster:
        told: list[str] = []
        for function, count in ((nothing, 100), (nothing, jobs), (tell, jobs)):
            start = time.process_time()
            listed = [Nothing(shard=n) for n in range(count)]
            done = sum(1 for _ in cluster.run_jobs(function, listed, tick=told.append))
            took_s = time.process_time() - start
            if done != count:
                sys.exit(f"{done} of {count} jobs came back")
            if function is nothing:
                job_s = took_s / count
        tell_s = max(0.0, took_s / jobs - job_s)
    messages = 1 + int(SHARD_CLIPS * CLIP_S / REPORT_INTERVAL_S)
    clip_s = (job_s + messages * tell_s) / SHARD_CLIPS
    elsewhere_s = ELSEWHERE_CLIPS * clip_s
    return [
        Figure(
            name="scheduler, a job that does nothing",
            value=1000 * job_s,
            unit="ms CPU",
            better="less",
        ),
        Figure(
            name="scheduler, a message of clips done",
            value=1000 * tell_s,
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
            value=elsewhere_s,
            unit="s CPU",
            better="less",
        ),
        Figure(
            name=f"least a clip must take for {ELSEWHERE_WORKERS:,} busy workers",
            value=ELSEWHERE_WORKERS * elsewhere_s / ELSEWHERE_CLIPS,
            unit="s",
            better="less",
        ),
    ]


def nothing(_job: Nothing, _tick: Callable[[str], None]) -> None:
    """Do nothing."""


def tell(_job: Nothing, tick: Callable[[str], None]) -> None:
    """Do nothing, and say so as of a clip."""
    tick("ok")


if __name__ == "__main__":
    main(measure)
