"""No folder for temporary files is left for long, even if a program is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmder_prep.pipeline import temp_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
CODE = """
import os, signal, sys
from multiprocessing import util
from mmder_prep.pipeline import temp_folder
temp_folder.create()
print(util.get_temp_dir(), flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "wait":
    sys.stdin.read()
"""


def start(ending: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, ending],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_folder_of_a_killed_program_is_removed_by_the_next(tmp_path: Path) -> None:
    """That of a running program is kept, and each program removes its own."""
    with start("kill", tmp_path) as killed:
        assert killed.stdout is not None
        dead = Path(killed.stdout.readline().strip())
    assert list(tmp_path.iterdir()) == [dead]
    with start("wait", tmp_path) as running:
        assert running.stdout is not None
        alive = Path(running.stdout.readline().strip())
        for folder in (dead, alive):
            os.utime(folder / temp_folder.LOCK_FILE, (0, 0))
        with start("end", tmp_path) as last:
            last.communicate()
        assert last.returncode == 0
        assert list(tmp_path.iterdir()) == [alive]
        running.communicate("")
    assert list(tmp_path.iterdir()) == []
