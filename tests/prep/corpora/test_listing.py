"""Listing of corpus folders: links, odd names, text encodings, and speed."""

import os
import time
import zipfile
from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import cremad, ravdess
from mmder_prep.corpora.check import check_corpus
from mmder_prep.corpora.listing import clip_names, read_lines, scan
from mmder_store.errors import ManifestError

ONE, TWO, THREE = (f"01-01-0{k}-01-01-01-01.mp4" for k in (1, 2, 3))


def pack(path: Path, *names: str) -> None:
    """Write an archive; the content of each member is its name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would clean it
            archive.writestr(info, name)


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


def test_links_to_themselves_and_special_files_are_skipped_and_reported(
    tmp_path: Path,
) -> None:
    lay(tmp_path, ONE, "b/x.txt")
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "b" / "pipe")
    found = ravdess.find(tmp_path, modality="av")
    assert [row.path for row in found.rows] == [ONE]
    assert found.unreadable_files == (
        "self: Too many levels of symbolic links",
        "b/pipe: not a regular file",
    )
    assert any("2 files or folders cannot be read" in line for line in found.warnings)
    checked = check_corpus(found, ravdess.published(modality="av"))
    assert checked.flawed == found.unreadable_files


def test_members_with_odd_names_are_listed_under_clean_paths(tmp_path: Path) -> None:
    """A backslash, an absolute path, and a member that leads out of the archive."""
    names = (f"Actor_01\\{ONE}", f"/Actor_02/{TWO}", f"../{THREE}", "Actor_03\\")
    pack(tmp_path / "V.zip", *names)
    found = ravdess.find(tmp_path, modality="av")
    assert [r.path for r in found.rows] == [
        f"V.zip/Actor_01/{ONE}",
        f"V.zip/Actor_02/{TWO}",
    ]
    data = [clip.source.read(100).decode() for clip in found.clips()]
    assert data == [names[0], names[1]]
    assert found.unreadable_files == (f"V.zip/../{THREE}: leads out of the archive",)


@pytest.mark.parametrize(
    ("names", "archive", "advice"),
    [
        (("1188976.zip/V_01.zip",), "1188976.zip/V_01.zip", "Unpack 1188976.zip, zip"),
        (("V.tar.gz",), "V.tar.gz", "Unpack it, only zip archives are read"),
        (("V.zip.001", "V.zip.002"), "V.zip.001", "Unpack it"),
    ],
)
def test_archives_that_are_not_searched_are_named(
    names: tuple[str, ...], archive: str, advice: str, tmp_path: Path
) -> None:
    """The error names them, and a warning if there are clips next to them."""
    for name in names:
        outer, _, inner = name.partition("/")
        pack(tmp_path / outer, inner or "x.mp4")
    match = rf"{len(names)} archives that are not searched.*{archive}.*{advice}"
    with pytest.raises(ManifestError, match=match):
        ravdess.find(tmp_path, modality="av")
    lay(tmp_path, ONE)
    warnings = ravdess.find(tmp_path, modality="av").warnings
    assert any(f"first {archive}" in line for line in warnings)


def test_clip_names_are_unique() -> None:
    paths = ["a/one.mp4", "a/one.wav", "b/one.mp4", "v.zip/\udcff.mp4"]
    assert clip_names(paths) == ["a/one.mp4", "a/one.wav", "b/one", r"'v.zip/\udcff'"]
