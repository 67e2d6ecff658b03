"""`mmder-train` killed at random instants: every resumed run has the same results.

MMDER_KILLS sets the number of kills, for a shorter drill.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from killing import check_nothing_runs, kill, start, wait_for
from mmder_store.atomic_files import DRAFTS
from train_runs import FINETUNE, invoke, read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("MMDER_KILLS", "20"))
METHODS = ("finetune", "linear-probe")
HOW = ("group", "group", "term", "interrupt")
INSTANTS = {
    "finetune": (
        "run/run.json",
        "run/checkpoints/*",
        f"run/checkpoints/{DRAFTS}",
        f"run/weights/{DRAFTS}",
        "run/weights/*",
        "run/folds/*",
    ),
    "linear-probe": (
        "run/run.json",
        "features/*",
        f"features/{DRAFTS}",
        f"run/weights/{DRAFTS}",
        "run/weights/*",
        "run/folds/*",
    ),
}
"""Files that appear during a run."""
DURATIONS = ("seconds", "duration", "time")


def without_durations(value: Any) -> Any:
    """Return JSON values without measured times, paths and memory."""
    if isinstance(value, dict):
        return {
            k: without_durations(v)
            for k, v in value.items()
            if not any(word in k for word in (*DURATIONS, "memory", "_s"))
        }
    return [without_durations(v) for v in value] if isinstance(value, list) else value


def results(folder: Path) -> dict[str, Any]:
    """Return the results of a run; every file is read to its end."""
    found: dict[str, Any] = {}
    for file in sorted((folder / "run").rglob("*")):
        name = str(file.relative_to(folder))
        if file.suffix == ".json":
            found[name] = without_durations(json.loads(file.read_text()))
        elif file.suffix == ".csv":
            found[name] = file.read_bytes()
        elif file.suffix == ".safetensors":
            found[name] = {k: v.tobytes() for k, v in load_file(file).items()}
    found["metrics"] = sorted(map(str, read_metrics(folder / "run")))
    assert not [p for p in (folder / "run").rglob(DRAFTS) if p.is_file()]
    return found


def test_killed_runs_are_resumed_to_the_same_results(
    audio_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def words(method: str, folder: Path) -> list[str]:
        options = [*FINETUNE, "--method", method, "--save-weights", "--device", "cpu"]
        if method == "finetune":
            options += ["--save-every", "0"]
        else:
            options += ["--feature-cache", str(folder / "features")]
        return [
            "--store", str(audio_store), "--out", str(folder / "run"), *options
        ]  # fmt: skip

    expected: dict[str, dict[str, Any]] = {}
    run_s: dict[str, float] = {}
    for method in METHODS:
        began_s = time.monotonic()
        with start("mmder_train", words(method, tmp_path / method), {}) as running:
            assert running.wait() == 0
        run_s[method] = time.monotonic() - began_s
        expected[method] = results(tmp_path / method)
        assert any(name.endswith(".csv") for name in expected[method])
    rng = random.Random(0)
    outcomes: Counter[str] = Counter()
    for number in range(KILLS):
        method = METHODS[number % 2]
        folder = tmp_path / f"killed{number}"
        how = HOW[(number // 2) % len(HOW)]
        instant = rng.choice((*INSTANTS[method], None))
        delay_s = rng.uniform(0, 0.05) if instant else rng.uniform(0, run_s[method])
        with start("mmder_train", words(method, folder), {}) as running:
            if instant is None or wait_for(running, folder, instant, 300):
                time.sleep(delay_s)
            ended = running.poll() is not None
            kill(running, how)
            running.wait(timeout=180)
            check_nothing_runs(running.pid)
        context = f"kill {number}: {method}, {how}, {instant}, {delay_s:.3f} s"
        resumed = invoke(*words(method, folder))
        assert resumed.exit_code == 0, f"{context}: {resumed.stderr}"
        assert results(folder) == expected[method], context
        outcomes[f"{method} {'already ended' if ended else how}"] += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{KILLS} kills: {dict(outcomes)}\n")
