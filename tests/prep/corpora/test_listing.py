"""Listing of corpus folders: links, odd names, text encodings, and speed."""

import time
from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import cremad, ravdess
from mmder_prep.corpora.listing import read_lines, scan


def test_ten_thousand_files_are_listed_in_two_seconds(tmp_path: Path) -> None:
    """The folder is a copy of CREMA-D, with its separate audio files."""
    for row in cremad.published(modality="av").rows[:5000]:
        lay(tmp_path, row.path, row.sound, text="")
    before = time.process_time()
    assert len(cremad.find(tmp_path, modality="av").rows) > 4900
    assert time.process_time() - before < 2


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    """Copies often consist of links, and git-annex leaves broken ones."""
    lay(tmp_path / "disk", "AudioWAV/1001_DFA_ANG_XX.wav")
    root = lay(tmp_path / "root", "VideoFlash/1001_DFA_ANG_XX.flv")
    (root / "AudioWAV").symlink_to(tmp_path / "disk" / "AudioWAV")
    (root / "VideoFlash" / "up").symlink_to(root)
    (root / "VideoFlash" / "1001_DFA_HAP_XX.flv").symlink_to(root / "gone")
    assert list(scan(root).paths) == [
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "VideoFlash/1001_DFA_HAP_XX.flv",
    ]


def test_a_name_that_is_not_valid_text_is_made_printable(tmp_path: Path) -> None:
    lay(tmp_path, "01-01-03-01-01-01-01.mp4", "\x1b[2J.mp4")
    (tmp_path / "\udcff.mp4").touch()
    found = ravdess.find(tmp_path, modality="av")
    assert found.unexpected_files == (r"'\x1b[2J.mp4'", r"'\udcff.mp4'")
    assert "".join(found.warnings).isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_in_every_encoding(
    encoding: str, end: str, tmp_path: Path
) -> None:
    """An unusual character in a comment does not end a line."""
    lines = ["a;b", "", "caf\xe9 \x85 c"]
    (tmp_path / "x.txt").write_bytes(end.join(lines).encode(encoding))
    assert read_lines(tmp_path, "x.txt") == lines
