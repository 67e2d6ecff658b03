"""Zip archives as people make them: odd names, encryption, parts, other methods."""

import hashlib
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmder_prep.media.archive import MAX_MEMBER_BYTES, clean_path, contents
from mmder_prep.media.source import Source, locate
from mmder_store.errors import MediaError


def pack(path: Path, *names: str) -> Path:
    """Write an archive; the content of each member is its name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would clean it
            archive.writestr(info, name)
    return path


def patch(path: Path, *, flags: int | None = None, method: int | None = None) -> None:
    """Overwrite fields of the first member in both headers (APPNOTE 4.3.7, 4.3.12)."""
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = data.index(signature) + offset
        if flags is not None:
            struct.pack_into("<H", data, start, flags)
        if method is not None:
            struct.pack_into("<H", data, start + 2, method)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("Actor_01/x.mp4", "Actor_01/x.mp4"),
        ("Actor_01\\x.mp4", "Actor_01/x.mp4"),
        ("/Actor_01/x.mp4", "Actor_01/x.mp4"),
        ("//Actor_01//./x.mp4", "Actor_01/x.mp4"),
        ("a/../Actor_01/x.mp4", "Actor_01/x.mp4"),
        ("..x/y", "..x/y"),
        ("../x.mp4", None),
        ("..\\..\\x.mp4", None),
        ("/../x.mp4", None),
        ("a/../..", None),
    ],
)
def test_clean_paths(name: str, clean: str | None) -> None:
    assert clean_path(name) == clean


@pytest.mark.parametrize("name", ["a\\x.mp4", "/a/x.mp4", "./a/x.mp4", "a//x.mp4"])
def test_an_odd_name_is_found_by_its_clean_path(name: str, tmp_path: Path) -> None:
    pack(tmp_path / "v.zip", name, "b\\")
    assert list(contents(tmp_path / "v.zip").by_path) == ["a/x.mp4"]
    source = locate(tmp_path, "v.zip/a/x.mp4")
    assert source.read(100) == name.encode()
    assert source.sha256() == hashlib.sha256(name.encode()).hexdigest()
    assert source.flaw() == ""


def test_a_member_is_found_by_its_own_name_first(tmp_path: Path) -> None:
    pack(tmp_path / "v.zip", "a\\x.mp4", "a/x.mp4")
    assert locate(tmp_path, "v.zip/a/x.mp4").read(100) == b"a/x.mp4"
    assert locate(tmp_path, "v.zip/a\\x.mp4").read(100) == b"a\\x.mp4"


def test_a_member_that_escapes_is_kept_apart(tmp_path: Path) -> None:
    listed = contents(pack(tmp_path / "v.zip", "../../etc/passwd", "a.mp4"))
    assert list(listed.by_path) == ["a.mp4"]
    assert listed.escaping == ("../../etc/passwd",)
    with pytest.raises(MediaError, match="no item named"):
        Source(tmp_path / "v.zip", "../../etc/passwd").input()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"flags": 1}, "encrypted; unpack the archive with its password"),
        ({"method": 9}, "compressed with Deflate64; unpack the archive"),
        ({"method": 98}, "compressed with PPMd"),
        ({"method": 77}, "compressed with method 77"),
    ],
)
def test_a_member_that_cannot_be_read_has_its_reason(
    fields: dict[str, int], reason: str, tmp_path: Path
) -> None:
    """`--check` shows the same reason as the clip that fails."""
    patch(pack(tmp_path / "v.zip", "a.mp4", "b.mp4"), **fields)
    source = Source(tmp_path / "v.zip", "a.mp4")
    assert source.flaw().startswith(reason)
    for call in (source.input, source.sha256):
        with pytest.raises(MediaError, match=rf"cannot be read \({reason}"):
            call()
    assert Source(tmp_path / "v.zip", "b.mp4").read(9) == b"b.mp4"


def test_a_member_in_another_part_of_a_split_archive_has_its_reason(
    tmp_path: Path,
) -> None:
    """The last part has the table of contents: members name their part in it."""
    path = pack(tmp_path / "v.zip", "a.mp4", "b.mp4")
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.rindex(b"PK\5\6") + 4, 1, 1)
    struct.pack_into("<H", data, data.rindex(b"PK\1\2") + 34, 1)
    path.write_bytes(data)
    assert "zip -s 0 v.zip --out joined.zip" in Source(path, "a.mp4").flaw()
    assert Source(path, "b.mp4").flaw() == ""
    assert Source(path, "b.mp4").read(9) == b"b.mp4"


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs the program zip")
def test_archives_of_the_program_zip(tmp_path: Path) -> None:
    """An encrypted archive, and one in parts of 64 KiB."""
    (tmp_path / "a.mp4").write_bytes(bytes(range(256)) * 600)
    for words in (["-P", "x", "e.zip"], ["-0", "-s", "64k", "s.zip"]):
        subprocess.run(["zip", "-q", *words, "a.mp4"], cwd=tmp_path, check=True)
    assert "encrypted" in Source(tmp_path / "e.zip", "a.mp4").flaw()
    assert "split archive" in Source(tmp_path / "s.zip", "a.mp4").flaw()


def test_a_large_member_is_a_flaw(tmp_path: Path) -> None:
    path = pack(tmp_path / "v.zip", "a.mp4")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, MAX_MEMBER_BYTES + 1)
    path.write_bytes(data)
    assert f"at most {MAX_MEMBER_BYTES}" in Source(path, "a.mp4").flaw()


def bomb(path: Path, megabytes: int) -> Path:
    """Write an archive with a member of zeros, a thousandth of its size."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.mp4", "w", force_zip64=True) as member,
    ):
        for _ in range(megabytes):
            member.write(bytes(1 << 20))
    return path


READ_MEMBER = """
import resource, sys
from pathlib import Path
from mmder_prep.media.source import Source
from mmder_store.errors import MediaError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(Source(Path(sys.argv[1]), "x.mp4").input().getbuffer()))
except MediaError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def read_member(path: Path) -> tuple[str, int]:
    """Return what reading a member printed, and by how many MiB the memory grew."""
    done = subprocess.run(
        [sys.executable, "-c", READ_MEMBER, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    text, grown = done.stdout.splitlines()
    return text, int(grown)


def test_a_zip_bomb_takes_no_memory(tmp_path: Path) -> None:
    text, grown_mb = read_member(bomb(tmp_path / "bomb.zip", 300))
    assert "cannot be read (314572800 bytes from " in text
    assert grown_mb < 20


def test_a_large_member_is_in_memory_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("x.mp4", np.random.default_rng(0).bytes(200 << 20))
    text, grown_mb = read_member(tmp_path / "v.zip")
    assert text == str(200 << 20)
    assert grown_mb < 290


def test_a_stored_member_that_claims_more_than_there_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("x.mp4", b"x" * 1000)
    data = bytearray((tmp_path / "v.zip").read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 1 << 30)
    (tmp_path / "v.zip").write_bytes(data)
    text, grown_mb = read_member(tmp_path / "v.zip")
    assert f"cannot be read ({1 << 30} bytes from 1000" in text
    assert grown_mb < 20
