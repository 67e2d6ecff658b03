"""A build is complete, resumable, and the same for any number of workers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client

from killing import contents
from mmder_prep.pipeline import cluster
from mmder_prep.pipeline.fingerprint import compute_fingerprint, fingerprint_digest
from mmder_prep.pipeline.plan import resolve_device
from mmder_prep.quality.verify import problems
from mmder_store import Store, ledger
from mmder_store.errors import SettingsError
from mmder_store.verify import Problem, mark_damaged
from run_cli import invoke, run_here
from synth import Synth, write

PREP = [sys.executable, "-c", "from mmder_prep.cli import main; main()"]


def prep(
    *arguments: object,
    preexec: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PREP, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        preexec_fn=preexec,
    )


def arguments(corpus: Path, out: Path, workers: int) -> list[object]:
    options = [
        "--out", out, "--workers", workers, "--shard-clips", 2, "--max-failed", 1
    ]  # fmt: skip
    return ["manifest", corpus / "m.csv", "--no-face-crop", *options]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline_s, "waited two minutes"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def built(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store that one worker built without interruption."""
    out = tmp_path_factory.mktemp("built") / "store"
    run = run_here("mmder_prep", *arguments(corpus, out, 1))
    assert "7/7 clips" in run.stderr
    assert "dashboard http://127.0.0.1" in run.stderr
    assert "ok 6, failed 1" in run.stderr
    return out


def test_the_store_has_a_status_for_every_clip(built: Path) -> None:
    """The broken file keeps its row, with a reason. The stored times are verified."""
    store = Store(built)
    assert list(problems(store)) == []
    status = dict(zip(store.columns["clip_id"], store.columns["status"], strict=True))
    assert status.pop("broken") == "failed"
    assert set(status.values()) == {"ok"}
    assert "not readable as media" in store.columns["reason"][3]
    assert list(store.columns["clamped"][[0, 6]]) == [8, 0]


def test_a_killed_and_resumed_build_is_the_same_bit_for_bit(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """SIGKILL to the process group after the first shard; the next run resumes.

    This build has two workers, `built` has one: their number changes no byte.
    """
    for attempt in range(5):  # the other shards take a second: the build may be done
        out = tmp_path / f"store-{attempt}"
        with subprocess.Popen(
            [*PREP, *map(str, arguments(corpus, out, 2))],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        ) as running:
            wait_for(lambda out=out: any((out / "ledger").glob("0*.json")))  # type: ignore[misc]
            os.killpg(running.pid, signal.SIGKILL)
        inspected = invoke("mmder_prep", "inspect", out)
        if inspected.exit_code:
            break
    assert inspected.exit_code == 1
    assert inspected.stderr.count("\n") == 1
    assert "not written" in inspected.stderr or "not sealed" in inspected.stderr
    resumed = invoke("mmder_prep", *arguments(corpus, out, 2))
    assert resumed.exit_code == 0, resumed.stderr
    assert "were already done" in resumed.stderr
    assert contents(out) == contents(built)


def test_a_second_build_does_nothing_and_a_changed_clip_redoes_its_shard(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """Shards of unchanged clips keep their files; the other shard is written again."""
    folder, out = tmp_path / "corpus", tmp_path / "store"
    shutil.copytree(corpus, folder)
    shutil.copytree(built, out)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    same = invoke("mmder_prep", *arguments(folder, out, 2))
    assert same.exit_code == 0, same.stderr
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert "4 of 4 shards were already done" in same.stderr
    assert "dashboard" not in same.stderr
    before = shard_times(out)
    changed = write(folder / "clip2", Synth(duration_s=3, seed=99, size_px=(64, 48)))
    assert changed.name == "clip2.mp4"
    run = invoke("mmder_prep", *arguments(folder, out, 2))
    assert run.exit_code == 0, run.stderr
    assert "3 of 4 shards were already done" in run.stderr
    assert "1 clips were prepared again" in run.stderr
    assert "segment or crop changed: clip2" in run.stderr
    after = shard_times(out)
    assert [shard for shard in after if after[shard] != before[shard]] == ["1"]
    assert list(problems(Store(out))) == []


def shard_file(store: Path, array: str, shard: int) -> Path:
    (file,) = (f for f in (store / array / "c" / str(shard)).rglob("*") if f.is_file())
    return file


def test_damage_is_repaired_to_the_same_bytes(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """Lost and truncated files and damaged metadata need only the same command.

    Bits that flipped in a shard need `verify --repair` first.
    """
    out = tmp_path / "store"
    shutil.copytree(built, out)
    shard_file(out, "frames", 0).unlink()
    shard_file(out, "stft_8", 1).write_bytes(b"")
    (out / "ledger" / "000002.json").write_text("{")
    (out / "mfcc_16" / "zarr.json").write_text("")
    (out / "emotion" / "c" / "0").unlink()
    run = run_here("mmder_prep", *arguments(corpus, out, 1))
    assert "shards 0, 1, 2 are damaged or incomplete" in run.stderr
    assert "1 of 4 shards were already done" in run.stderr
    assert contents(out) == contents(built)

    flipped = bytearray(shard_file(out, "frames", 3).read_bytes())
    flipped[1000] ^= 8
    shard_file(out, "frames", 3).write_bytes(flipped)
    found = invoke("mmder_prep", "verify", out)
    assert found.exit_code == 1
    assert found.stdout == "shard 3, frames: bytes differ from the ledger\n"
    assert f"'mmder-prep verify --repair {out}'" in found.stderr
    marked = invoke("mmder_prep", "verify", "--repair", out)
    assert marked.exit_code == 1
    assert "1 shards are marked as not done. Rerun the mmder-prep" in marked.stderr
    assert "not written" in invoke("mmder_prep", "verify", out).stderr
    (out / "zarr.json").write_text("{")
    run_here("mmder_prep", *arguments(corpus, out, 1))
    assert contents(out) == contents(built)
    run_here("mmder_prep", "verify", out)


def test_shards_of_another_version_are_prepared_again(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """A finished store is left as it is, whatever version made it."""
    out = tmp_path / "store"
    shutil.copytree(built, out)
    for shard in range(4):
        record = ledger.read(out, shard)
        assert record is not None
        ledger.write(out, replace(record, fingerprint="0.1"))
    finished = invoke("mmder_prep", *arguments(corpus, out, 1))
    assert finished.exit_code == 0, finished.stderr
    assert "4 of 4 shards were already done" in finished.stderr
    mark_damaged(out, [Problem(text="", shard=2)])
    resumed = invoke("mmder_prep", *arguments(corpus, out, 1))
    assert resumed.exit_code == 0, resumed.stderr
    assert "3 of 4 shards were prepared by another version of mmder" in resumed.stderr
    assert contents(out) == contents(built)


def test_a_store_half_made_on_a_gpu_is_not_continued_on_a_cpu(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """One line of error, and no shard is lost."""
    out = tmp_path / "store"
    shutil.copytree(built, out)
    digest = fingerprint_digest(compute_fingerprint("cuda"))
    for shard in range(4):
        record = ledger.read(out, shard)
        assert record is not None
        ledger.write(out, replace(record, fingerprint=digest))
    mark_damaged(out, [Problem(text="", shard=2)])
    before = contents(out)
    refused = invoke("mmder_prep", *arguments(corpus, out, 1))
    assert refused.exit_code == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("mmder-prep: error: ")
    assert "faces of 3 of 4 shards were detected with --device cuda" in last
    assert "Traceback" not in refused.stderr
    assert contents(out) == before


def shard_times(store: Path) -> dict[str, int]:
    """Return the modification time of each shard of an array."""
    folder = store / "stft_16" / "c"
    return {
        file.relative_to(folder).parts[0]: file.stat().st_mtime_ns
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("started", ["zarr.json", "ledger/.at-*"])
def test_ctrl_c_prints_one_line_and_keeps_finished_shards(
    corpus: Path, tmp_path: Path, started: str
) -> None:
    """SIGINT to the process group, as a terminal sends it: no traceback, exit 130.

    Once while the template imports modules, and once while a clip is prepared.
    """
    out = tmp_path / "store"
    with subprocess.Popen(
        [*PREP, *map(str, arguments(corpus, out, 1))],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_for(lambda: any(out.glob(started)))
        os.killpg(running.pid, signal.SIGINT)
        stderr = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.strip().endswith("rerun the command to resume")


def test_a_full_disk_stops_the_build_and_seals_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    """No file may exceed 200 kB, as on a disk that is full."""
    import resource

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    out = tmp_path / "store"
    run = prep(*arguments(corpus, out, 1), preexec=limit_file_size)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("mmder-prep: error: store")
    assert "cannot be written (File too large)" in last
    assert "Traceback" not in run.stderr
    assert "not written" in invoke("mmder_prep", "inspect", out).stderr


def select(corpus: Path, folder: Path, *names: str) -> Path:
    """Write the lines of some clips of the corpus to ``m.csv`` in another folder."""
    head, *lines = (corpus / "m.csv").read_text().splitlines()
    kept = [line for line in lines if line.split(",")[0] in names]
    folder.mkdir(exist_ok=True)
    (folder / "m.csv").write_text("\n".join([head, *kept]) + "\n")
    for name in names:
        for file in corpus.glob(f"{name}.*"):
            shutil.copy2(file, folder)
    return folder


def test_a_run_with_other_clips_is_refused_and_changes_nothing(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """Five of seven clips are not listed; one of them failed and has no data."""
    some = select(corpus, tmp_path / "some", "clip0", "clip5")
    before = contents(built)
    run = invoke("mmder_prep", *arguments(some, built, 1))
    assert run.exit_code == 1
    assert "4 of its 7 clips are not in this run and would be lost" in run.stderr
    assert "(clip1, clip2, clip3 and 1 more)" in run.stderr
    assert "another --out, or use --overwrite" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    (some / "clip5.mp4").unlink()
    shutil.copy2(corpus / "m.csv", some)
    run = invoke("mmder_prep", *arguments(some, built, 1))
    assert "the media files of 5 of its 7 clips are gone" in run.stderr
    assert run.exit_code == 1
    assert contents(built) == before


def test_a_store_grows_and_is_replaced_on_request(
    corpus: Path, built: Path, tmp_path: Path
) -> None:
    """Clips that are added at the end keep all full shards.

    The grown store has the same bytes as one that was built at once.
    """
    out, names = tmp_path / "store", ("clip0", "clip1", "clip2", "broken", "clip3")
    few = select(corpus, tmp_path / "few", *names)
    assert invoke("mmder_prep", *arguments(few, out, 1)).exit_code == 0
    times = shard_times(out)
    grown = invoke("mmder_prep", *arguments(corpus, out, 1))
    assert grown.exit_code == 0, grown.stderr
    assert f"2 clips are added to the 5 of {out}" in grown.stderr
    assert "2 of 4 shards were already done" in grown.stderr
    assert {s: t for s, t in shard_times(out).items() if s in "01"} == {
        s: t for s, t in times.items() if s in "01"
    }
    assert contents(out) == contents(built)
    back = invoke("mmder_prep", *arguments(few, out, 1), "--overwrite")
    assert back.exit_code == 0, back.stderr
    assert list(Store(out).columns["clip_id"]) == list(names)


BAD = {
    "no manifest": (["manifest", "none.csv", "--out", "s"], "cannot be read"),
    "no root": (["ravdess", "--root", "none", "--out", "s"], "1188976"),
    "empty root": (["ravdess", "--root", ".", "--out", "s"], "1188976"),
    "step is a word": (
        ["manifest", "m.csv", "--step", "six", "--out", "s"],
        "'six'",
    ),
    "step of zero": (["manifest", "m.csv", "--step", "0", "--out", "s"], "step 0.0"),
    "out holds something else": (
        ["manifest", "m.csv", "--out", "taken"],
        "no zarr.json in this folder; not a store of mmder-prep. Choose another --out.",
    ),
    "out is a file": (["manifest", "m.csv", "--out", "m.csv"], "cannot be written"),
    "overwrite something else": (
        ["manifest", "m.csv", "--out", "taken", "--overwrite"],
        "not a store of mmder-prep",
    ),
    "no scheduler": (
        ["manifest", "m.csv", "--out", "s", "--scheduler", "tcp://127.0.0.1:9"],
        "no answer",
    ),
    "inspect a missing store": (["inspect", "none"], "no such folder"),
    "verify something else": (["verify", "taken"], "no zarr.json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_reported_in_one_line(
    name: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, no traceback, and nothing is written."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    (tmp_path / "clip0.mp4").write_bytes((corpus / "clip0.mp4").read_bytes())
    row = "clip_id,path,emotion,speaker\nclip0,clip0.mp4,sad,a\n"
    (tmp_path / "m.csv").write_text(row)
    words, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        cluster, "Client", lambda address, **_: Client(address, timeout="1s")
    )
    run = invoke("mmder_prep", *words)
    assert run.exit_code == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("mmder-prep: error: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "s" / "zarr.json").exists() or name == "no scheduler"


def test_names_with_brackets_are_printed_as_they_are(
    built: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a [bold]b[x]"
    shutil.copytree(built, out)
    (tmp_path / f".{out.name}.removed-1").mkdir()
    run = run_here("mmder_prep", *arguments(corpus, out, 1))
    assert f"sealed {out} (" in run.stderr
    shown = run_here("mmder_prep", "inspect", out)
    assert out.name in shown.stdout
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_a_device_is_checked_before_the_build() -> None:
    """`auto` is always usable."""
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")
    with pytest.raises(SettingsError, match=r"--device abacus: .* 'cpu' always is"):
        resolve_device("abacus")
