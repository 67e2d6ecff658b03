r"""Members of zip archives, under clean paths.

Programs on Windows and faulty packers write names such as ``Actor_01\x.mp4``,
``/Actor_01/x.mp4`` or ``./x.mp4``. A member is listed under its clean path, and found
by its own name or by its clean path.
"""

import lzma
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from mmder_prep.media.regular_file import open_regular, stat_regular

BAD_ARCHIVE = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    EOFError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""Exceptions raised for a missing, damaged or locked file or archive."""
MAX_MEMBER_BYTES = 2 << 30
"""Maximum size of a member, which is read into memory. No clip of a known corpus comes
near it."""
MAX_RATIO = 100
"""Maximum ratio of the uncompressed to the compressed size of a large member. Media are
compressed already; silence and zeros shrink a thousandfold."""
RATIO_BYTES = 64 << 20
"""Size from which the ratio is checked: a smaller member takes little memory."""
METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
)
"""Compression methods that can be read."""
METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
"""Names of compression methods that cannot be read."""
ENCRYPTED = 0x1
END_RECORD = struct.Struct("<4s8H")
"""Signature and counts of the end record; the first count is the disk number."""
END_BYTES = 22
NO_DISK = (0, 0xFFFF)
"""Disk numbers of an archive in one file; the larger one refers to Zip64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file in a zip archive, as its table of contents describes it."""

    name: str
    """Name in the archive."""
    size: int
    """Uncompressed size in bytes."""
    flaw: str
    """Reason why it cannot be read, as far as the table of contents shows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Files of a zip archive."""

    by_path: Mapping[str, Member]
    """Members by their clean path, sorted by it."""
    by_name: Mapping[str, Member]
    """Members by the name in the archive."""
    escaping: tuple[str, ...]
    """Names that lead out of the archive; these members are not read."""

    def find(self, name: str) -> Member:
        """Return a member by its own name or by its clean path.

        Raises:
            KeyError: If there is none.
        """
        member = self.by_name.get(name) or self.by_path.get(name)
        if member is None:
            msg = f"There is no item named {name!r} in the archive"
            raise KeyError(msg)
        return member


def contents(path: Path) -> Contents:
    """Return the files of an archive, cached until the archive changes.

    Raises:
        BAD_ARCHIVE: If the archive cannot be read.
        MediaError: If it is not a regular file.
    """
    return _contents(path, stat_regular(path).st_mtime_ns)


@contextmanager
def open_member(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a member for reading, by its own name or by its clean path.

    Raises:
        BAD_ARCHIVE: If the archive or the member cannot be read.
        MediaError: If the archive is not a regular file.
    """
    member = contents(path).find(name)
    if member.flaw:
        raise zipfile.BadZipFile(member.flaw)
    with (
        open_regular(path) as file,
        zipfile.ZipFile(file) as archive,
        archive.open(member.name) as opened,
    ):
        yield opened  # type: ignore[misc]  # has every method of one that is used


def clean_path(name: str) -> str | None:
    """Return the clean path of a member, or None if it leads out of the archive."""
    path = posixpath.normpath(name.replace("\\", "/").lstrip("/"))
    return None if path == ".." or path.startswith("../") else path


@lru_cache(maxsize=64)
def _contents(path: Path, time_ns: int) -> Contents:
    """Read the table of contents of an archive."""
    del time_ns  # part of the cache key: a changed archive is read again
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        disk = _disk_number(file, archive)
    by_name: dict[str, Member] = {}
    by_path: dict[str, Member] = {}
    escaping = []
    for info in infos:
        if info.filename.endswith(("/", "\\")):
            continue
        clean = clean_path(info.filename)
        if clean is None:
            escaping.append(info.filename)
            continue
        member = Member(
            name=info.filename, size=info.file_size, flaw=_flaw(info, disk, path)
        )
        by_name[member.name] = member
        # A member whose own name is the clean path has precedence.
        if clean not in by_path or member.name == clean:
            by_path[clean] = member
    return Contents(
        by_path=dict(sorted(by_path.items())), by_name=by_name, escaping=tuple(escaping)
    )


def _disk_number(file: BinaryIO, archive: zipfile.ZipFile) -> int:
    """Return the number of the last part of a split archive, 0 if it is in one file."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_BYTES - len(archive.comment)))
    record = file.read(END_RECORD.size)
    if len(record) < END_RECORD.size or not record.startswith(b"PK\5\6"):
        return 0
    disk = int(END_RECORD.unpack(record)[1])
    return 0 if disk in NO_DISK else disk


def _flaw(info: zipfile.ZipInfo, disk: int, path: Path) -> str:
    """Return the reason why a member cannot be read, or an empty string."""
    if disk and info.volume != disk:
        return (
            f"in another part of a split archive; join the parts with 'zip -s 0 "
            f"{path.name} --out joined.zip'"
        )
    if info.flag_bits & ENCRYPTED:
        return "encrypted; unpack the archive with its password"
    if info.compress_type not in METHODS:
        method = METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        return f"compressed with {method}; unpack the archive"
    if info.file_size > MAX_MEMBER_BYTES:
        return (
            f"{info.file_size} bytes in the archive, at most {MAX_MEMBER_BYTES}; "
            "unpack the archive"
        )
    if info.file_size > RATIO_BYTES:
        # What is stored must be there: a header may claim any size.
        ratio = 1 if info.compress_type == zipfile.ZIP_STORED else MAX_RATIO
        if info.file_size > ratio * info.compress_size:
            return (
                f"{info.file_size} bytes from {info.compress_size} in the archive, at "
                f"most {ratio} times as many; not media, or a damaged archive"
            )
    return ""
