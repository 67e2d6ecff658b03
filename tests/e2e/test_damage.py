"""Truncated and corrupted clips: the run finishes, and every clip has a status.

The clips are real ones from the folder MMDER_REAL_CLIPS, or generated ones if it is
not set.
"""

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from mmder_prep.quality.verify import problems
from mmder_store import Store
from mmder_store.schema import STATUSES
from synth import Synth, write

PROC = Path("/proc")
MAX_WORKER_BYTES = 1_200_000_000
"""Limit of resident memory, including library pages shared by workers."""
SEED = 3
REAL = os.environ.get("MMDER_REAL_CLIPS", "")
SMALL = {
    "mp4": Synth(size_px=(96, 64)),
    "mkv": Synth(suffix="mkv", audio="flac", size_px=(96, 64)),
    "webm": Synth(suffix="webm", video="libvpx", audio="libopus", rate_hz=48_000),
    "avi": Synth(suffix="avi", video="mpeg4", audio="pcm_s16le"),
    "mpg": Synth(suffix="mpg", video="mpeg1video", audio="mp2"),
    "flv": Synth(suffix="flv", video="flv", audio="libmp3lame"),
}
pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc")


@dataclass(frozen=True, kw_only=True)
class WatchedRun:
    """A run of the program and the memory of its workers."""

    code: int
    stderr: str
    seconds: float
    peak_bytes: dict[int, int]
    """Largest resident memory of every worker of the run, by process id."""


def run_watched(*arguments: object, limit_s: float) -> WatchedRun:
    """Run `mmder-prep` and record the memory of its workers until it exits."""
    command = "from mmder_prep.cli import main; main()"
    start = time.monotonic()
    peak: dict[int, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", command, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            while program.poll() is None:
                assert time.monotonic() - start < limit_s, "the run does not finish"
                for worker in workers_of(program.pid):
                    peak[worker] = max(peak.get(worker, 0), peak_of(worker))
                time.sleep(0.05)
        finally:
            program.kill()
        assert program.stderr is not None
        stderr = program.stderr.read()
    return WatchedRun(
        code=program.returncode,
        stderr=stderr,
        seconds=time.monotonic() - start,
        peak_bytes=peak,
    )


def workers_of(program: int) -> list[int]:
    """Return the process ids of the workers that a program's template has forked.

    Programs that libraries run while they are imported, such as ldconfig, are not
    workers.
    """
    try:
        templates = forkserver_children(psutil.Process(program))
        return [worker.pid for one in templates for worker in forkserver_children(one)]
    except psutil.Error:
        return []


def forkserver_children(parent: psutil.Process) -> list[psutil.Process]:
    return [p for p in parent.children() if "forkserver" in " ".join(p.cmdline())]


def peak_of(process: int) -> int:
    try:
        lines = (PROC / str(process) / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(n.split()[1]) for n in lines if n.startswith("VmHWM"))


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's bytes truncated, with flipped bits, or with a range zeroed."""
    content = np.frombuffer(whole, dtype=np.uint8).copy()
    damage = rng.choice(["cut", "bits", "head", "wipe", "cut and bits"])
    if damage == "wipe":
        start = rng.integers(len(content))
        content[start : start + rng.integers(1, 20_000)] = 0
    if damage in ("bits", "head", "cut and bits"):
        reach = min(len(content), 4096) if damage == "head" else len(content)
        positions = rng.integers(reach, size=int(2 ** rng.uniform(0, 9)))
        content[positions] ^= (1 << rng.integers(8, size=len(positions))).astype(
            np.uint8
        )
    if damage in ("cut", "cut and bits"):
        content = content[: int(rng.uniform(0.005, 0.995) * len(content))]
    return content.tobytes()


def write_damaged(folder: Path, clips: list[Path], count: int) -> Path:
    """Write damaged clips and return their manifest."""
    rng = np.random.default_rng(SEED)
    with (folder / "m.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "path", "emotion", "speaker"])
        for number in range(count):
            clip = clips[number % len(clips)]
            path = folder / f"{number:03d}{clip.suffix}"
            path.write_bytes(damaged(clip.read_bytes(), rng))
            table.writerow([f"{number:03d} {clip.stem}", path.name, "", "x"])
    return folder / "m.csv"


def check(run: WatchedRun, out: Path, count: int) -> Counter[str]:
    """Check that each clip has status and reason, and workers lived within limits."""
    assert run.code == 0, run.stderr
    assert "Traceback" not in run.stderr
    store = Store(out)
    statuses = Counter(map(str, store.columns["status"]))
    assert sum(statuses.values()) == len(store) == count
    assert set(statuses) <= set(STATUSES)
    not_ok = store.columns["status"] != "ok"
    assert all(store.columns["reason"][not_ok])
    assert not any("\n" in reason for reason in store.columns["reason"])
    assert [r for r in store.columns["reason"] if "unexpected" in r] == []
    assert not [r for r in store.columns["reason"] if "ended the process" in r]
    assert list(problems(store)) == []
    # A worker that dies is replaced, so more than two would mean that one died.
    assert len(run.peak_bytes) == 2
    assert max(run.peak_bytes.values()) < MAX_WORKER_BYTES
    return statuses


def test_a_dozen_damaged_clips(tmp_path: Path) -> None:
    clips = [write(tmp_path / "x" / kind, spec) for kind, spec in SMALL.items()]
    manifest, out = write_damaged(tmp_path, clips, 12), tmp_path / "store"
    options = ["--out", out, "--workers", 2, "--shard-clips", 4, "--max-failed", 12]
    run = run_watched("manifest", manifest, "--no-face-crop", *options, limit_s=120)
    statuses = check(run, out, 12)
    assert statuses["failed"]
    assert statuses["ok"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_hundred_damaged_clips(tmp_path: Path) -> None:
    """The run includes face detection, as for users."""
    clips = [
        path
        for path in sorted(Path(REAL).rglob("*.*") if REAL else ())
        if path.suffix not in (".md", ".txt") and path.stat().st_size > 1000
    ] or [write(tmp_path / "x" / kind, spec) for kind, spec in SMALL.items()]
    manifest, out = write_damaged(tmp_path, clips, 300), tmp_path / "store"
    options = ["--out", out, "--workers", 2, "--max-failed", 300]
    run = run_watched("manifest", manifest, *options, limit_s=1700)
    statuses = check(run, out, 300)
    assert len(statuses) > 2
