"""A synthetic corpus of one actor, shared by the tests of the generator."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmder_prep.synthetic.clip import EMOTIONS
from mmder_prep.synthetic.corpus import write_sample

ENV = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
RUN = """
import sys
from pathlib import Path
from mmder_prep.synthetic.corpus import write_sample
write_sample(Path(sys.argv[1]), actors=1, workers=2)
"""


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one actor in two runs; Ctrl-C stops the first after its first clip."""
    root = tmp_path_factory.mktemp("sample") / "deep" / "corpus"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(root)],
        env=ENV,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as in a terminal
    ) as run:
        deadline = time.monotonic() + 60
        while not list(root.rglob("*.mp4")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    clips = list(root.rglob("*.mp4"))
    assert 1 <= len(clips) < len(EMOTIONS)
    assert not list(root.rglob(".*"))
    before = {clip: (clip.stat().st_mtime_ns, clip.read_bytes()) for clip in clips}

    progress: list[tuple[int, int]] = []
    summary = write_sample(
        root, actors=1, workers=2, progress=lambda *counts: progress.append(counts)
    )
    assert (summary.clips, summary.kept) == (8, len(clips))
    assert summary.written == 8 - len(clips)
    assert progress == [(n, 8) for n in range(len(clips) + 1, 9)]
    assert before == {c: (c.stat().st_mtime_ns, c.read_bytes()) for c in clips}
    return root
