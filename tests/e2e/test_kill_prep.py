"""`mmder-prep` killed at random instants: every resumed store is the same.

MMDER_KILLS sets the number of kills, for a shorter drill.
"""

import csv
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from killing import check_nothing_runs, contents, kill, start, wait_for
from mmder_prep.pipeline import temp_folder
from run_cli import invoke
from synth import Synth, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("MMDER_KILLS", "100"))
CLIPS = 8
HOW = ("group", "group", "group", "parent", "parent", "worker", "term", "interrupt")
INSTANTS = (
    "zarr.json",
    "ledger/.run",
    "ledger/.at-*",
    "stft_16/c/*/0/0/*.partial",
    "ledger/.????????????????.*",
    "ledger/000003.json",
    "ledger/000007.json",
    "clip_id/zarr.json",
    "reason/c/0",
    "crc32c/zarr.json",
    "crc32c/c/0/0",
    ".????????????????.zarr.json",
)
"""Files that appear during a run, to the end of sealing."""


def make_corpus(folder: Path) -> Path:
    """Write audio clips of half a second to a second, and their manifest."""
    rows = []
    for number in range(CLIPS):
        spec = Synth(
            suffix="wav",
            video=None,
            audio="pcm_s16le",
            rate_hz=16_000,
            duration_s=0.5 + number / 16,
            seed=number,
        )
        path = write(folder / f"clip{number}", spec)
        rows.append([f"clip{number}", path.name, "happy", f"s{number % 3}"])
    with (folder / "m.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([["clip_id", "path", "emotion", "speaker"], *rows])
    return folder / "m.csv"


def test_killed_runs_are_resumed_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No process and no folder for temporary files is left either."""
    manifest = make_corpus(tmp_path)
    temporary = tmp_path / "t"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}

    def words(out: Path) -> list[str]:
        options = ["--modality", "audio", "--shard-clips", "1", "--workers", "2"]
        return ["manifest", str(manifest), "--out", str(out), *options]

    began_s = time.monotonic()
    with start("mmder_prep", words(tmp_path / "whole"), environment) as running:
        assert running.wait() == 0
    run_s = time.monotonic() - began_s
    expected = contents(tmp_path / "whole")
    rng = random.Random(0)
    outcomes: Counter[str] = Counter()
    for number in range(KILLS):
        out = tmp_path / f"store{number}"
        how = HOW[number % len(HOW)]
        instant = rng.choice((*INSTANTS, None, None, None))
        delay_s = rng.uniform(0, 0.05) if instant else rng.uniform(0, run_s)
        with start("mmder_prep", words(out), environment) as running:
            if instant is None or wait_for(running, out, instant, 120):
                time.sleep(delay_s)
            ended = running.poll() is not None
            kill(running, how)
            running.wait(timeout=180)
            check_nothing_runs(running.pid)
        resumed = invoke("mmder_prep", *words(out))
        context = f"kill {number}: {how}, {instant}, {delay_s:.3f} s"
        assert resumed.exit_code == 0, f"{context}: {resumed.stderr}"
        assert contents(out) == expected, context
        outcomes["already ended" if ended else how] += 1
    time.sleep(temp_folder.MIN_AGE_S + 1)
    with start("mmder_prep", words(tmp_path / "last"), environment) as running:
        assert running.wait() == 0
    assert list(temporary.iterdir()) == []
    with capsys.disabled():
        sys.stdout.write(f"\n{KILLS} kills: {dict(outcomes)}\n")
