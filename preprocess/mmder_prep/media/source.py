"""Where the bytes of a clip are: a file, or a member of a zip still in its archive.

A path that runs through a zip file (``Video_Speech_Actor_01.zip/Actor_01/x.mp4``)
names a member of it. Nothing is unpacked to disk.
"""

import hashlib
import io
import lzma
import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmder_store.errors import ManifestError, MediaError

UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What a file or an archive that is missing, damaged or locked ends in."""
POINTER = b"version https://git-lfs"
"""How a file begins that git-lfs has left in the place of the real one."""
POINTER_BYTES = 1024
MAX_MEMBER_BYTES = 2 << 30
"""A zip member is read into memory; no clip of a known corpus is near this size."""


@dataclass(frozen=True, slots=True)
class Source:
    """The media of a clip."""

    path: Path
    """The file, or the zip archive."""
    member: str | None = None
    """Name inside the archive."""

    def input(self) -> str | io.BytesIO:
        """Give what a decoder opens: the path of a file, or a member in memory.

        Raises:
            MediaError: If it is not there or cannot be read.
        """
        try:
            if self.member is None:
                with self.path.open("rb"):
                    return str(self.path)
            with zipfile.ZipFile(self.path) as archive:
                size = archive.getinfo(self.member).file_size
                if size > MAX_MEMBER_BYTES:
                    msg = f"{size} bytes in the archive, at most {MAX_MEMBER_BYTES}"
                    raise MediaError(msg)
                with archive.open(self.member) as file:
                    # The header may lie about the size: never read more than it says.
                    return io.BytesIO(file.read(size))
        except UNREADABLE as error:
            msg = f"cannot be read ({getattr(error, 'strerror', None) or error})"
            raise MediaError(msg) from error

    def read(self, most_bytes: int) -> bytes:
        """Give the bytes of a small file.

        Raises:
            MediaError: If it is not there, cannot be read, or is larger than said.
        """
        size = self.size_bytes()
        if size > most_bytes:
            msg = f"{size} bytes, expected at most {most_bytes}"
            raise MediaError(msg)
        opened = self.input()
        if isinstance(opened, str):
            with Path(opened).open("rb") as file:
                return file.read(most_bytes)
        return opened.read()

    def size_bytes(self) -> int:
        """Give the size, unpacked.

        Raises:
            MediaError: If it is not there.
        """
        try:
            stat = self.path.stat()
            if self.member is None:
                return stat.st_size
            return _members(self.path, stat.st_mtime_ns)[self.member]
        except UNREADABLE as error:
            msg = f"cannot be read ({getattr(error, 'strerror', None) or error})"
            raise MediaError(msg) from error

    def flaw(self) -> str:
        """Say what is plainly wrong with a media file, undecoded; else nothing."""
        try:
            size = self.size_bytes()
            if size == 0:
                return "empty"
            if size < POINTER_BYTES and self.read(POINTER_BYTES).startswith(POINTER):
                return "a git-lfs pointer"
        except MediaError as error:
            return str(error)
        return ""

    def stamp(self) -> str:
        """Give size and time of the file, which change when its bytes do.

        Raises:
            MediaError: If it is not there.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            msg = f"cannot be read ({error.strerror})"
            raise MediaError(msg) from error
        return f"{stat.st_size} {stat.st_mtime_ns} {self.member or ''}"

    def sha256(self) -> str:
        """Hash the bytes; many clips of one recording cost one hash."""
        return _sha256(self, self.stamp())


@lru_cache(maxsize=64)
def _members(path: Path, time_ns: int) -> dict[str, int]:
    """List the members of an archive with their sizes, once an archive."""
    del time_ns  # in the arguments, so that an archive that changed is read again
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


@lru_cache(maxsize=64)
def _sha256(source: Source, stamp: str) -> str:
    opened = source.input()
    if isinstance(opened, str):
        with Path(opened).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(opened.read()).hexdigest()


def locate(root: Path, path: str) -> Source:
    """Find a path of a manifest under its root, also inside a zip on the way.

    Symbolic links below the root are the user's own and are followed.

    Raises:
        ManifestError: If the path leads out of the root.
    """
    whole = Path(os.path.normpath(root.absolute() / path))
    if not whole.is_relative_to(os.path.normpath(root.absolute())):
        msg = (
            f"path {path!r} leads out of {root}; write paths relative to that folder, "
            "or name the folder that holds the media with --root"
        )
        raise ManifestError(msg)
    for parent in (whole, *whole.parents):
        if parent.suffix.lower() == ".zip" and parent.is_file():
            if parent == whole:
                break
            return Source(parent, whole.relative_to(parent).as_posix())
        if parent.exists():
            break
    return Source(whole)
