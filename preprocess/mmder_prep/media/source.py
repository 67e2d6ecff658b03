"""Locate and read the bytes of a clip: a file, or a member of a zip archive.

A path through a zip file (``Video_Speech_Actor_01.zip/Actor_01/x.mp4``)
refers to a member of it. Nothing is unpacked to disk. Only regular files are read.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from mmder_prep.media.archive import BAD_ARCHIVE, MAX_MEMBER_BYTES, contents
from mmder_prep.media.archive import open_member as _open_member
from mmder_prep.media.regular_file import (
    exists,
    is_regular,
    open_regular,
    stat_regular,
    unreadable,
)
from mmder_store.errors import ManifestError, MediaError

__all__ = ["MAX_MEMBER_BYTES", "POINTER", "Source", "locate"]

POINTER = b"version https://git-lfs"
"""First bytes of a git-lfs pointer file, which replaces the real file."""
POINTER_BYTES = 1024
"""Size above which a file is not a git-lfs pointer."""
BLOCK_BYTES = 1 << 20
"""Number of bytes that are read at once."""


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
        with self._open() as file:
            if self.member is None:
                return str(self.path)
            # The size in the header may be wrong: never read more than that. Block by
            # block, or a large member would be in memory twice.
            whole, left = io.BytesIO(), self.size_bytes()
            while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
                whole.write(block)
                left -= len(block)
            whole.seek(0)
            return whole

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
        with self._open() as file:
            return file.read(most_bytes)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """Open it for reading; every error is a MediaError, also while reading."""
        try:
            if self.member is None:
                with open_regular(self.path) as file:
                    yield file
            else:
                with _open_member(self.path, self.member) as file:
                    yield file
        except BAD_ARCHIVE as error:
            raise unreadable(self.path, error) from error

    def size_bytes(self) -> int:
        """Return the uncompressed size.

        Raises:
            MediaError: If it does not exist.
        """
        try:
            if self.member is None:
                return stat_regular(self.path).st_size
            return contents(self.path).find(self.member).size
        except BAD_ARCHIVE as error:
            raise unreadable(self.path, error) from error

    def flaw(self) -> str:
        """Return an obvious defect of the file, or an empty string; decode nothing."""
        try:
            if self.member is not None:
                flaw = contents(self.path).find(self.member).flaw
                if flaw:
                    return flaw
            size = self.size_bytes()
            if size == 0:
                return "empty"
            if size < POINTER_BYTES and self.read(POINTER_BYTES).startswith(POINTER):
                return "a git-lfs pointer"
        except MediaError as error:
            return str(error)
        except BAD_ARCHIVE as error:
            return str(unreadable(self.path, error))
        return ""

    def stamp(self) -> str:
        """Return the size and modification time, which change when the bytes change.

        Raises:
            MediaError: If it does not exist.
        """
        try:
            stat = stat_regular(self.path)
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error
        return f"{stat.st_size} {stat.st_mtime_ns} {self.member or ''}"

    def sha256(self, *, again: bool = False) -> str:
        """Return the SHA-256 of the bytes, computed once per recording.

        Args:
            again: True to read the bytes in any case, to see if they can be read.

        Raises:
            MediaError: If it does not exist or cannot be read to its end.
        """
        stamp = self.stamp()
        return _hash(self) if again else _sha256(self, stamp)


@lru_cache(maxsize=64)
def _sha256(source: Source, stamp: str) -> str:
    """Return the SHA-256 of a source, cached per source and stamp."""
    del stamp  # part of the cache key: a changed file is read again
    return _hash(source)


def _hash(source: Source) -> str:
    with source._open() as file:
        digest = hashlib.sha256()
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
        return digest.hexdigest()


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
        if parent.suffix.lower() == ".zip" and is_regular(parent):
            if parent == whole:
                break
            return Source(parent, whole.relative_to(parent).as_posix())
        if exists(parent):
            break
    return Source(whole)
