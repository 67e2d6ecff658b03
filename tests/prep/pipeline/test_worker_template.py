"""Workers are forked from a template that has imported what they need."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from mmder_prep.pipeline import worker_template
from mmder_store.settings import PrepSettings
from run_cli import run_here
from synth import Synth, write

pytestmark = pytest.mark.skipif(
    worker_template.start_method() != "forkserver", reason="workers are not forked here"
)
SCRIPT = """
import gc, multiprocessing, os, sys
from mmder_prep.pipeline import worker_template
from mmder_store.settings import PrepSettings

def report(pipe):
    tasks = len(os.listdir(f"/proc/{os.getppid()}/task"))
    assert gc.isenabled(), "garbage is never collected"
    assert gc.get_freeze_count() > 100_000, "every collection visits all modules"
    pipe.send((tasks, sorted(m for m in sys.argv[2:] if m in sys.modules)))

if __name__ == "__main__":
    settings = PrepSettings(modality=sys.argv[1])
    worker_template.start(worker_template.required_modules(settings))
    context = multiprocessing.get_context(worker_template.start_method())
    here, there = context.Pipe()
    child = context.Process(target=report, args=(there,))
    child.start()
    tasks, loaded = here.recv()
    child.join()
    print(tasks, *loaded)
    assert "torch" not in sys.modules, "the program itself imported torch"
"""


@pytest.mark.parametrize(
    ("modality", "loaded"),
    [
        ("av", ["distributed", "librosa.core.spectrum", "torch"]),
        ("audio", ["distributed", "librosa.core.spectrum"]),
    ],
)
def test_workers_have_imported_all_and_the_template_has_one_thread(
    tmp_path: Path, modality: str, loaded: list[str]
) -> None:
    """A process with several threads may be forked while one of them holds a lock."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    names = ["librosa.core.spectrum", "torch", "distributed", "torch._dynamo"]
    done = subprocess.run(
        [sys.executable, str(script), modality, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", *loaded]


def test_every_required_module_exists() -> None:
    """A missing module would be skipped silently, and every worker would be slow."""
    methods = multiprocessing.get_all_start_methods()
    assert methods.count(worker_template.start_method()) == 1
    for name in worker_template.required_modules(PrepSettings()):
        assert __import__(name)


def test_workers_are_spawned_if_the_path_for_a_socket_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a socket has at most 107 bytes, and some folders are deep."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    file = write(tmp_path / "clip", Synth(video=None, suffix="wav", audio="pcm_s16le"))
    (tmp_path / "clips.csv").write_text(
        f"clip_id,path,emotion,speaker\nc,{file.name},happy,1\n"
    )
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert worker_template.start_method() == "spawn"
    words = ("--modality", "audio", "--workers", 1, "--out", tmp_path / "store")
    done = run_here("mmder_prep", "manifest", tmp_path / "clips.csv", *words)
    assert "ok 1" in done.stderr
