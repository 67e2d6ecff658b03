"""Locate and read the bytes of a clip: a file, or a member of a zip archive.

A path through a zip file (``Video_Speech_Actor_01.zip/Actor_01/x.mp4``)
refers to a member of it. Nothing is unpacked to disk.
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
"""Exceptions raised for a missing, damaged or locked file or archive."""
POINTER = b"version https://git-lfs"
"""First bytes of a git-lfs pointer file, which replaces the real file."""
POINTER_BYTES = 1024
"""Size above which a file is not a git-lfs pointer."""
MAX_MEMBER_BYTES = 2 << 30
"""Maximum size of a zip member, which is read into memory. No clip of a known corpus
comes near it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A media file, or a member of a zip archive."""

    path: Path
    """Path of the file or of the zip archive."""
    member: str | None = None
    """Name of the member in the archive; None for a plain file."""

    def input(self) -> str | io.BytesIO:
        """Return the input of a decoder: the path of a file, or a member in memory.

        Raises:
            MediaError: If it does not exist or cannot be read.
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
                    # The size in the header may be wrong: never read more than that.
                    return io.BytesIO(file.read(size))
        except UNREADABLE as error:
            msg = f"cannot be read ({getattr(error, 'strerror', None) or error})"
            raise MediaError(msg) from error

    def read(self, most_bytes: int) -> bytes:
        """Return the bytes of a small file.

        Raises:
            MediaError: If it does not exist, cannot be read, or is larger than
                `most_bytes`.
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
        """Return the uncompressed size.

        Raises:
            MediaError: If it does not exist.
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
        """Return an obvious defect of the file, or an empty string; decode nothing."""
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
        """Return the size and modification time, which change when the bytes change.

        Raises:
            MediaError: If it does not exist.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            msg = f"cannot be read ({error.strerror})"
            raise MediaError(msg) from error
        return f"{stat.st_size} {stat.st_mtime_ns} {self.member or ''}"

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes, computed once per recording."""
        return _sha256(self, self.stamp())


@lru_cache(maxsize=64)
def _members(path: Path, time_ns: int) -> dict[str, int]:
    """Return the members of an archive with their sizes, cached per archive."""
    del time_ns  # part of the cache key: a changed archive is read again
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


@lru_cache(maxsize=64)
def _sha256(source: Source, stamp: str) -> str:
    """Return the SHA-256 of a source, cached per source and stamp."""
    opened = source.input()
    if isinstance(opened, str):
        with Path(opened).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(opened.read()).hexdigest()


def locate(root: Path, path: str) -> Source:
    """Return the source of a manifest path under its root, also inside a zip archive.

    Symbolic links below the root belong to the user and are followed.

    Raises:
        ManifestError: If the path leads out of the root.
    """
    whole = Path(os.path.normpath(root.absolute() / path))
    if not whole.is_relative_to(os.path.normpath(root.absolute())):
        msg = (
            f"path {path!r} leads out of {root}; write paths relative to that folder, "
            "or pass the folder that contains the media with --root"
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
