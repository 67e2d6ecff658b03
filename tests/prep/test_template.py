"""Workers are copies of one process; what may be copied, and what it must not hold."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from mmder_prep.pipeline import worker_template
from mmder_store.settings import PrepSettings
from run_cli import run
from synth import Synth, write

pytestmark = pytest.mark.skipif(
    worker_template.start_method() != "forkserver", reason="workers are not copied here"
)
ASK = """
import gc, multiprocessing, os, sys
from mmder_prep.pipeline import worker_template as template
from mmder_store.settings import PrepSettings

def tell(pipe):
    tasks = len(os.listdir(f"/proc/{os.getppid()}/task"))
    assert gc.isenabled(), "garbage would stay"
    assert gc.get_freeze_count() > 100_000, "every search would go through all modules"
    pipe.send((tasks, sorted(m for m in sys.argv[2:] if m in sys.modules)))

if __name__ == "__main__":
    template.start(template.needed(PrepSettings(modality=sys.argv[1])))
    context = multiprocessing.get_context(template.method())
    here, there = context.Pipe()
    child = context.Process(target=tell, args=(there,))
    child.start()
    tasks, loaded = here.recv()
    child.join()
    print(tasks, *loaded)
    assert "torch" not in sys.modules, "the program itself waited for it"
"""


@pytest.mark.parametrize(
    ("modality", "loaded"),
    [
        ("av", ["distributed", "librosa.core.spectrum", "torch"]),
        ("audio", ["distributed", "librosa.core.spectrum"]),
    ],
)
def test_copies_have_loaded_all_and_their_original_has_one_thread(
    tmp_path: Path, modality: str, loaded: list[str]
) -> None:
    """A process of several threads may be copied while one of them holds a lock."""
    script = tmp_path / "ask.py"
    script.write_text(ASK)
    asked = ["librosa.core.spectrum", "torch", "distributed", "torch._dynamo"]
    done = subprocess.run(
        [sys.executable, str(script), modality, *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", *loaded]


def test_every_module_is_there() -> None:
    """One that is missing would be passed over, and every worker would be slow."""
    assert (
        multiprocessing.get_all_start_methods().count(worker_template.start_method())
        == 1
    )
    for name in worker_template.required_modules(PrepSettings()):
        assert __import__(name)


def test_where_none_can_listen_workers_load_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of what listens has 107 letters at most; some folders are deep."""
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
    done = run("mmder_prep", "manifest", tmp_path / "clips.csv", *words)
    assert "ok 1" in done.stderr
