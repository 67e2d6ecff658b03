"""Clips cut short and with bits turned over: the run ends, and every one has a status.

Of the real clips in the folder that MMDER_REAL_CLIPS names, else of generated ones.
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
"""Resident, with the pages of libraries that workers share."""
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
pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="no /proc to watch workers")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A run of the program, and what its workers were."""

    code: int
    said: str
    seconds: float
    peak_bytes: dict[int, int]
    """Largest resident memory of every worker there ever was, by its process."""


def watched(*arguments: object, limit_s: float) -> Watched:
    """Run `mmder-prep` and watch its workers until it ends."""
    command = "from mmder_prep.cli import main; main()"
    begun = time.monotonic()
    peak: dict[int, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", command, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            while program.poll() is None:
                assert time.monotonic() - begun < limit_s, "the run does not end"
                for worker in workers_of(program.pid):
                    peak[worker] = max(peak.get(worker, 0), peak_of(worker))
                time.sleep(0.05)
        finally:
            program.kill()
        assert program.stderr is not None
        said = program.stderr.read()
    seconds = time.monotonic() - begun
    return Watched(code=program.returncode, said=said, seconds=seconds, peak_bytes=peak)


def workers_of(program: int) -> list[int]:
    """List the copies of the process that a program has started to be copied.

    What libraries run while they are loaded, such as ldconfig, is none.
    """
    try:
        templates = of_forkserver(psutil.Process(program))
        return [worker.pid for one in templates for worker in of_forkserver(one)]
    except psutil.Error:
        return []


def of_forkserver(parent: psutil.Process) -> list[psutil.Process]:
    return [p for p in parent.children() if "forkserver" in " ".join(p.cmdline())]


def peak_of(process: int) -> int:
    try:
        lines = (PROC / str(process) / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(n.split()[1]) for n in lines if n.startswith("VmHWM"))


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file short, turn bits over in it or in its head, or wipe a part of it."""
    content = np.frombuffer(whole, dtype=np.uint8).copy()
    way = rng.choice(["cut", "bits", "head", "wipe", "cut and bits"])
    if way == "wipe":
        start = rng.integers(len(content))
        content[start : start + rng.integers(1, 20_000)] = 0
    if way in ("bits", "head", "cut and bits"):
        reach = min(len(content), 4096) if way == "head" else len(content)
        places = rng.integers(reach, size=int(2 ** rng.uniform(0, 9)))
        content[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    if way in ("cut", "cut and bits"):
        content = content[: int(rng.uniform(0.005, 0.995) * len(content))]
    return content.tobytes()


def variants(folder: Path, clips: list[Path], count: int) -> Path:
    """Write damaged clips and their manifest."""
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


def check(run: Watched, out: Path, count: int) -> Counter[str]:
    """Every clip has a status and a reason; no worker died; none took too much."""
    assert run.code == 0, run.said
    assert "Traceback" not in run.said
    store = Store(out)
    statuses = Counter(map(str, store.columns["status"]))
    assert sum(statuses.values()) == len(store) == count
    assert set(statuses) <= set(STATUSES)
    told = store.columns["status"] != "ok"
    assert all(store.columns["reason"][told])
    assert not any("\n" in reason for reason in store.columns["reason"])
    unforeseen = [r for r in store.columns["reason"] if "unexpected" in r]
    assert unforeseen == []
    assert not [r for r in store.columns["reason"] if "ended the process" in r]
    assert list(problems(store)) == []
    # Each worker that dies is followed by another.
    assert len(run.peak_bytes) == 2
    assert max(run.peak_bytes.values()) < MAX_WORKER_BYTES
    return statuses


def test_a_dozen_damaged_clips(tmp_path: Path) -> None:
    clips = [write(tmp_path / "x" / kind, spec) for kind, spec in SMALL.items()]
    manifest, out = variants(tmp_path, clips, 12), tmp_path / "store"
    wanted = ["--out", out, "--workers", 2, "--shard-clips", 4, "--max-failed", 12]
    run = watched("manifest", manifest, "--no-face-crop", *wanted, limit_s=120)
    statuses = check(run, out, 12)
    assert statuses["failed"]
    assert statuses["ok"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_hundred_damaged_clips(tmp_path: Path) -> None:
    """With the detector, as users run it."""
    clips = [
        path
        for path in sorted(Path(REAL).rglob("*.*") if REAL else ())
        if path.suffix not in (".md", ".txt") and path.stat().st_size > 1000
    ] or [write(tmp_path / "x" / kind, spec) for kind, spec in SMALL.items()]
    manifest, out = variants(tmp_path, clips, 300), tmp_path / "store"
    wanted = ["--out", out, "--workers", 2, "--max-failed", 300]
    run = watched("manifest", manifest, *wanted, limit_s=1700)
    statuses = check(run, out, 300)
    assert len(statuses) > 2
