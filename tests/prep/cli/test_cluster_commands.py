"""Plan, work and seal: the same store as from the one command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from killing import contents
from run_cli import invoke, run_here
from synth import Synth, write

PREP = [sys.executable, "-c", "from mmder_prep.cli import main; main()"]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV file of seven clips of generated audio, one of which is no audio."""
    folder = tmp_path_factory.mktemp("listed")
    spec = Synth(suffix="wav", video=None, audio="pcm_s16le", duration_s=1.5, seed=1)
    lines = ["clip_id,path,emotion,speaker"]
    for number in range(7):
        write(folder / f"c{number}", spec)
        lines.append(f"c{number},c{number}.wav,happy,s{number % 3}")
    (folder / "c3.wav").write_bytes(b"not audio")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder / "m.csv"


def words(listed: Path, out: Path) -> list[object]:
    audio = ["--modality", "audio", "--shard-clips", 2]
    return ["manifest", listed, *audio, "--out", out]


@pytest.mark.usefixtures("worker_template")
def test_parts_are_prepared_in_any_order_and_sealed(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are those of the one command; missing shards are listed."""
    one, out = tmp_path / "one", tmp_path / "parts"
    run_here("mmder_prep", *words(listed, one), "--max-failed", 1, "--workers", 2)

    planned = run_here("mmder_prep", "plan", *words(listed, out))
    assert (
        "4 shards, of which 4 with 7 clips are to be prepared (0-3)" in planned.stderr
    )
    second = run_here("mmder_prep", "work", out, "--part", "2/3", "--workers", 1)
    assert "1 of 4 shards of" in second.stderr
    missing = invoke("mmder_prep", "seal", out)
    assert (missing.exit_code, missing.stdout) == (1, "0,2-3\n")

    again = run_here("mmder_prep", "plan", *words(listed, out))
    assert (
        "4 shards, of which 3 with 5 clips are to be prepared (0,2-3)" in again.stderr
    )
    for name, value in {"ID": 5, "MIN": 5, "MAX": 5, "COUNT": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    rest = run_here("mmder_prep", "work", out, "--workers", 1)
    assert "4 of 4 shards" in rest.stderr
    assert "of which 1 were already" in rest.stderr
    sealed = invoke("mmder_prep", "seal", out)
    assert sealed.exit_code == 3, "one file is no audio"
    assert "ok 6, failed 1" in sealed.stderr
    assert run_here("mmder_prep", "verify", out)
    assert contents(out) == contents(one)

    for command in ("work", "seal"):
        done = invoke("mmder_prep", command, out)
        assert done.exit_code == 1
        assert "is sealed, and needs no further work" in done.stderr
        assert done.stderr.count("\n") == 1
    up_to_date = run_here("mmder_prep", "plan", *words(listed, out))
    assert "sealed and up to date" in up_to_date.stderr
    assert contents(out) == contents(one)


@pytest.mark.usefixtures("worker_template")
def test_the_one_command_finishes_a_planned_store(listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run_here("mmder_prep", "plan", *words(listed, out))
    run_here("mmder_prep", "work", out, "--shards", "1", "--workers", 1)
    done = run_here("mmder_prep", *words(listed, out), "--max-failed", 1)
    assert "1 of 4 shards were already done" in done.stderr
    assert not (out / "plan").exists()


def damage_part(out: Path) -> None:
    file = out / "plan" / "000002.json"
    file.write_text(file.read_text().replace("c4.wav", "c5.wav"))


def other_format(out: Path) -> None:
    file = out / "plan" / "plan.json"
    text = json.dumps(json.loads(file.read_text()) | {"format": 9})
    file.write_text(text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (damage_part, "000002.json: damaged. Run mmder-prep plan again"),
        (other_format, "plan.json: damaged"),
        (lambda out: (out / "plan" / "plan.json").unlink(), "has no plan"),
        (lambda out: (out / "plan" / "000002.json").unlink(), "not a part of a plan"),
    ],
)
def test_a_damaged_plan_is_one_line(
    change: object, text: str, listed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    run_here("mmder_prep", "plan", *words(listed, out))
    change(out)  # type: ignore[operator]
    done = invoke("mmder_prep", "work", out, "--workers", 1)
    assert done.exit_code == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_wrong_options_are_one_line(listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run_here("mmder_prep", "plan", *words(listed, out))
    both = invoke("mmder_prep", "work", out, "--part", "1/2", "--shards", "1")
    assert "exclude each other" in both.stderr
    beyond = invoke("mmder_prep", "work", out, "--shards", "4")
    assert "4 is not within the shards 0 to 3" in beyond.stderr
    nothing = invoke("mmder_prep", "work", tmp_path / "none")
    assert "no such folder" in nothing.stderr
    assert invoke("mmder_prep", "plan", "ravdess", "--root", out).exit_code == 2


def test_a_time_limit_ends_the_work_with_one_line(listed: Path, tmp_path: Path) -> None:
    """SLURM sends SIGUSR1 if it is asked to, and SIGTERM. Finished shards are kept."""
    out = tmp_path / "store"
    run_here("mmder_prep", "plan", *words(listed, out))
    command = [*PREP, "work", str(out), "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        deadline_s = time.monotonic() + 120
        while not any((out / "ledger").glob(".at-*")):
            assert time.monotonic() < deadline_s
            assert running.poll() is None
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGUSR1)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGUSR1
    last = error.splitlines()[-1]
    assert last.startswith("mmder-prep: stopped by SIGUSR1; finished shards are kept")
    assert "Traceback" not in error
