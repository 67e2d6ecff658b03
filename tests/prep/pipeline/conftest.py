"""A small corpus of generated clips with a manifest."""

import csv
from pathlib import Path

import pytest

from synth import Synth, write

CLIPS = 6


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with six clips of 1.5 to 4 seconds, and a file that is not media.

    The manifest is ``m.csv``; the clip `broken` is the fourth of seven.
    """
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
