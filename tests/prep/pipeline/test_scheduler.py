"""Workers of a running cluster: who does the shards, and what is told of the others."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import Result
from distributed import Client

from cluster_processes import (
    SCHEDULER,
    WORKER,
    copy_with_other_sources,
    package_without_mmder,
    process,
    wait_until_written,
)
from mmder_prep.pipeline import cluster
from mmder_store import Store, ledger
from mmder_store.verify import verify_store
from run_cli import invoke

pytestmark = pytest.mark.timeout(280)


class Hub:
    """A scheduler process, and the workers that a test adds to it."""

    def __init__(self, file: Path, address: str) -> None:
        self.file, self.address = file, address
        self.stack = ExitStack()

    def add_workers(self, *paths: Path | None) -> None:
        """Start workers that import mmder from these folders, and wait for them."""
        for path in paths:
            self.stack.enter_context(process(WORKER, self.address, path=path))
        with Client(self.address, timeout="60s") as client:
            client.wait_for_workers(len(paths), timeout=120)

    def remove_workers(self) -> None:
        self.stack.close()
        with Client(self.address, timeout="60s") as client:
            deadline_s = time.monotonic() + 60
            while client.scheduler_info(n_workers=0)["n_workers"]:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    with process(SCHEDULER, str(file)):
        wait_until_written(file)
        import json

        yield Hub(file, json.loads(file.read_text())["address"])


@pytest.fixture
def hub(scheduler: Hub) -> Iterator[Hub]:
    yield scheduler
    scheduler.remove_workers()


def arguments(corpus: Path, out: Path, *more: object) -> list[object]:
    options = ["--modality", "audio", "--shard-clips", 1, "--max-failed", 1]
    return ["manifest", corpus / "m.csv", "--out", out, *options, *more]


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store that a worker on this machine prepared."""
    out = tmp_path_factory.mktemp("local") / "store"
    done = invoke("mmder_prep", *arguments(corpus, out, "--workers", 1))
    assert done.exit_code == 0, done.stderr
    return out


def check_same(out: Path, local: Path, done: Result) -> None:
    """Check that a store is sealed and has the bytes of the local one."""
    assert done.exit_code == 0, done.stderr
    store, expected = Store(out), Store(local)
    assert store.sha256 == expected.sha256
    assert list(verify_store(store)) == []
    for file in local.rglob("c/**/*"):
        if file.is_file():
            assert (out / file.relative_to(local)).read_bytes() == file.read_bytes()
    assert not list(out.rglob("*.partial"))
    assert not (out / "ledger" / ledger.RUN_FILE).exists()


def test_workers_with_another_mmder_do_no_shard(
    corpus: Path, local: Path, tmp_path: Path, hub: Hub
) -> None:
    """They are named and retired; the worker with the same mmder does every shard.

    The scheduler is named by its file.
    """
    changed = copy_with_other_sources(tmp_path / "changed")
    hidden = package_without_mmder(tmp_path / "hidden")
    hub.add_workers(changed, hidden, None)
    out = tmp_path / "store"
    done = invoke("mmder_prep", *arguments(corpus, out, "--scheduler", hub.file))
    check_same(out, local, done)
    lines = [line for line in done.stderr.splitlines() if "is retired" in line]
    assert len(lines) == 2, done.stderr
    assert any("the source files of its mmder differ" in line for line in lines)
    assert any("it has no mmder that" in line for line in lines)
    with Client(hub.address) as client:
        assert client.scheduler_info(n_workers=0)["n_workers"] == 1


def test_a_run_without_a_fit_worker_ends_in_one_line(
    corpus: Path, tmp_path: Path, hub: Hub
) -> None:
    hub.add_workers(copy_with_other_sources(tmp_path / "changed"))
    out = tmp_path / "store"
    done = invoke("mmder_prep", *arguments(corpus, out, "--scheduler", hub.address))
    assert done.exit_code == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "error: no worker is left that can prepare this store" in last
    assert "the source files of its mmder differ" in last
    assert not list((out / "ledger").glob("0*.json"))


def test_a_worker_without_the_media_fails_no_clip(
    corpus: Path, tmp_path: Path, hub: Hub
) -> None:
    """The media are moved away after the plan, as if the worker lacked the mount."""
    root = tmp_path / "media"
    shutil.copytree(corpus, root)
    out = tmp_path / "store"
    hub.add_workers(None)

    def hide() -> None:
        deadline_s = time.monotonic() + 120
        while not (out / "ledger" / ledger.RUN_FILE).exists():
            if time.monotonic() > deadline_s:
                return
            time.sleep(0.001)
        root.rename(tmp_path / "away")

    thread = threading.Thread(target=hide)
    thread.start()
    done = invoke("mmder_prep", *arguments(root, out, "--scheduler", hub.address))
    thread.join()
    assert done.exit_code == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert f"it does not see the media folder {root}; mount it there" in last
    for file in (out / "ledger").glob("0*.json"):
        record = ledger.read(out, int(file.stem))
        assert record is not None
        assert "No such file" not in " ".join(c.reason for c in record.clips)


def test_a_killed_scheduler_is_named(
    corpus: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says how to resume; the same command then does the missing shards."""
    monkeypatch.setattr(
        cluster, "Client", lambda *args, **kw: Client(*args, **{**kw, "timeout": "5s"})
    )
    out, file = tmp_path / "store", tmp_path / "scheduler.json"
    with process(SCHEDULER, str(file)) as running:
        wait_until_written(file)
        import json

        hub = Hub(file, json.loads(file.read_text())["address"])
        hub.add_workers(None)

        def kill() -> None:
            deadline_s = time.monotonic() + 120
            while not list((out / "ledger").glob("0*.json")):
                if time.monotonic() > deadline_s:
                    return
                time.sleep(0.001)
            os.kill(running.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        done = invoke("mmder_prep", *arguments(corpus, out, "--scheduler", file))
        thread.join()
        hub.stack.close()
    assert done.exit_code == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert f"the connection to the Dask scheduler {file} was lost" in last
    assert last.endswith("rerun the same command to resume")
    assert "Traceback" not in done.stderr
    resumed = invoke("mmder_prep", *arguments(corpus, out, "--workers", 1))
    assert "shards were already done" in resumed.stderr
    check_same(out, local, resumed)
