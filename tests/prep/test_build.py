"""A store is made once: whole, resumable, the same for any number of workers."""

import csv
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crashing_jobs import die_at
from mmder_prep.corpora.manifest import Manifest, read_manifest
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import ShardJob, shard_jobs
from mmder_prep.quality.verify import problems
from mmder_store import PrepSettings, Store, StoreSpec, ledger
from mmder_store.store import create
from synth import Synth, write

CLIPS = 6
PREP = [sys.executable, "-c", "from mmder_prep.cli import main; main()"]
SOUND = PrepSettings(modality="audio")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of half a second more each, one of them no media at all."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(CLIPS):
        spec = Synth(duration_s=1.5 + number / 2, seed=number, size_px=(64, 48))
        path = write(folder / f"clip{number}", spec)
        rows.append([f"clip{number}", path.name, "happy", f"s{number % 3}"])
    (folder / "broken.mp4").write_bytes(b"not a clip")
    rows.insert(3, ["broken", "broken.mp4", "sad", "s0"])
    with (folder / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "path", "emotion", "speaker"])
        writer.writerows(rows)
    return folder


def prep(
    *arguments: object,
    preexec: Callable[[], None] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PREP, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=cwd,
        preexec_fn=preexec,
    )


def arguments(corpus: Path, out: Path, workers: int) -> list[object]:
    wanted = ["--out", out, "--workers", workers, "--shard-clips", 2, "--max-failed", 1]
    return ["manifest", corpus / "m.csv", "--no-face-crop", *wanted]


def contents(store: Path) -> dict[str, bytes]:
    """Every byte of a store."""
    return {
        str(p.relative_to(store)): p.read_bytes()
        for p in sorted(store.rglob("*"))
        if p.is_file()
    }


def job(corpus: Path, out: Path) -> tuple[ShardJob, Manifest]:
    made = read_manifest(corpus / "m.csv", root=None)
    spec = StoreSpec(
        corpus="m",
        clips=len(made.rows),
        settings=SOUND,
        label_sets=made.label_sets,
        protocols=(),
        manifest_sha256=made.sha256,
        shard_clips=4,
    )
    create(out, spec)
    jobs = shard_jobs(
        made.clips(),
        store=str(out),
        shard_clips=4,
        settings=SOUND,
        device="cpu",
        run="this run",
    )
    return jobs[0], made


@pytest.fixture(scope="module")
def built(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made in one go by one worker."""
    out = tmp_path_factory.mktemp("built") / "store"
    run = prep(*arguments(corpus, out, 1))
    assert run.returncode == 0, run.stderr
    assert "7/7 clips" in run.stderr
    assert "dashboard http://127.0.0.1" in run.stderr
    assert "ok 6, failed 1" in run.stderr
    return out


def test_the_store_says_what_became_of_every_clip(built: Path) -> None:
    """The broken file keeps its row, with a reason; times stand the recomputation."""
    store = Store(built)
    assert list(problems(store)) == []
    status = dict(zip(store.columns["clip_id"], store.columns["status"], strict=True))
    assert status.pop("broken") == "failed"
    assert set(status.values()) == {"ok"}
    assert "not readable as media" in store.columns["reason"][3]
    assert list(store.columns["clamped"][[0, 6]]) == [8, 0]


def test_killed_in_the_middle_and_resumed_is_the_same_to_the_last_bit(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """SIGKILL to the whole group after the first shard; the next run finishes it.

    Two workers here and one there: their number is in no byte of the store either.
    """
    for attempt in range(5):  # the other shards take a second: we may come too late
        out = tmp_path / f"store-{attempt}"
        with subprocess.Popen(
            [*PREP, *map(str, arguments(corpus, out, 2))],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        ) as running:
            _wait(lambda out=out: any((out / "ledger").glob("0*.json")))  # type: ignore[misc]
            os.killpg(running.pid, signal.SIGKILL)
        left = prep("inspect", out)
        if left.returncode:
            break
    assert left.returncode == 1
    assert left.stderr.count("\n") == 1
    assert "not written" in left.stderr or "not sealed" in left.stderr
    again = prep(*arguments(corpus, out, 2))
    assert again.returncode == 0, again.stderr
    assert "were done before" in again.stderr
    assert contents(out) == contents(built)


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < until, "waited two minutes"
        time.sleep(0.05)


def test_a_second_run_does_nothing_and_a_changed_clip_redoes_its_shard(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """Shards of untouched clips keep their files; the changed one's are new."""
    folder, out = tmp_path / "corpus", tmp_path / "store"
    shutil.copytree(corpus, folder)
    shutil.copytree(built, out)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    same = prep(*arguments(folder, out, 2))
    assert same.returncode == 0, same.stderr
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert "4 of 4 shards were done before" in same.stderr
    assert "dashboard" not in same.stderr
    before = _times(out)
    changed = write(folder / "clip2", Synth(duration_s=3, seed=99, size_px=(64, 48)))
    assert changed.name == "clip2.mp4"
    run = prep(*arguments(folder, out, 2))
    assert run.returncode == 0, run.stderr
    assert "3 of 4 shards were done before" in run.stderr
    after = _times(out)
    assert [shard for shard in after if after[shard] != before[shard]] == ["1"]
    assert list(problems(Store(out))) == []


def _times(store: Path) -> dict[str, int]:
    """When each shard of an array was written."""
    folder = store / "stft_16" / "c"
    return {
        file.relative_to(folder).parts[0]: file.stat().st_mtime_ns
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("begun", ["zarr.json", "ledger/.at-*"])
def test_ctrl_c_is_one_line_and_keeps_what_is_done(
    corpus: Path, tmp_path: Path, begun: str
) -> None:
    """SIGINT to the whole group, as a terminal sends it: no traceback, exit 130.

    While the workers' modules are being loaded, and in the middle of a clip.
    """
    out = tmp_path / "store"
    with subprocess.Popen(
        [*PREP, *map(str, arguments(corpus, out, 1))],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        _wait(lambda: any(out.glob(begun)))
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said
    assert said.strip().endswith("the same command goes on")


def test_a_full_disk_stops_the_run_and_seals_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    """No file may grow beyond 200 kB, as on a disk that is full."""
    import resource

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    out = tmp_path / "store"
    run = prep(*arguments(corpus, out, 1), preexec=full)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("mmder-prep: error: store")
    assert "cannot be written (File too large)" in last
    assert "Traceback" not in run.stderr
    assert "not written" in prep("inspect", out).stderr


def test_a_shard_is_made_once(corpus: Path, tmp_path: Path) -> None:
    """The second time nothing is decoded: the record is the answer."""
    todo, _ = job(corpus, tmp_path / "s")
    statuses: list[str] = []
    first = make_shard(todo, statuses.append)
    assert statuses == ["ok", "ok", "ok", "failed"]
    assert not first.kept
    again = make_shard(todo, statuses.append)
    assert again.kept
    assert again.statuses == first.statuses


def test_a_clip_that_ends_its_worker_twice_is_left_out(
    corpus: Path, tmp_path: Path
) -> None:
    """Two processes die at it; the third fails the clip and goes on."""
    todo, _ = job(corpus, tmp_path / "s")
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        process = context.Process(target=die_at, args=(todo, "clip1"))
        process.start()
        process.join(120)
        assert process.exitcode == 9
        assert ledger.read(tmp_path / "s", 0) is None
    made = make_shard(todo, lambda _: None)
    assert made.statuses == {"ok": 2, "failed": 2}
    record = ledger.read(tmp_path / "s", 0)
    assert record is not None
    assert record.clips[1].reason == "its decoder ended the process 2 times"


BAD = {
    "no such manifest": (["manifest", "none.csv", "--out", "s"], "cannot be read"),
    "no such root": (["ravdess", "--root", "none", "--out", "s"], "1188976"),
    "empty root": (["ravdess", "--root", ".", "--out", "s"], "1188976"),
    "a step of nonsense": (
        ["manifest", "m.csv", "--step", "six", "--out", "s"],
        "'six'",
    ),
    "a step of zero": (["manifest", "m.csv", "--step", "0", "--out", "s"], "step 0.0"),
    "out is taken": (["manifest", "m.csv", "--out", "taken"], "no zarr.json"),
    "out is a file": (["manifest", "m.csv", "--out", "m.csv"], "cannot be written"),
    "overwrite what is no store": (
        ["manifest", "m.csv", "--out", "taken", "--overwrite"],
        "no store of mmder-prep",
    ),
    "no scheduler": (
        ["manifest", "m.csv", "--out", "s", "--scheduler", "tcp://127.0.0.1:9"],
        "no answer",
    ),
    "no such device": (
        ["manifest", "m.csv", "--out", "s", "--device", "abacus"],
        "'cpu' always is",
    ),
    "inspect nothing": (["inspect", "none"], "no such folder"),
    "verify no store": (["verify", "taken"], "no zarr.json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, corpus: Path, tmp_path: Path) -> None:
    """What, found, expected, way out; exit code 1, no traceback, nothing made."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    (tmp_path / "clip0.mp4").write_bytes((corpus / "clip0.mp4").read_bytes())
    row = "clip_id,path,emotion,speaker\nclip0,clip0.mp4,sad,a\n"
    (tmp_path / "m.csv").write_text(row)
    given, said = BAD[name]
    run = prep(*given, cwd=tmp_path)
    assert run.returncode == 1
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("mmder-prep: error: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert (tmp_path / "taken" / "thesis.txt").exists()
    assert not (tmp_path / "s" / "zarr.json").exists() or name == "no scheduler"
