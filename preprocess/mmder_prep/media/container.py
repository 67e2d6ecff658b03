"""Open media files safely: accepted formats and size limits."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from mmder_prep.media.regular_file import open_regular, unreadable
from mmder_prep.media.source import POINTER, Source
from mmder_store.errors import MediaError

MAX_SIDE_PX = 8192
MAX_PIXELS = {"max_pixels": str(MAX_SIDE_PX**2)}
"""Decoder options: a frame that is larger than the header of the file claims is
rejected before memory is allocated for it."""
LARGE_BYTES = 64 << 20
"""Size from which a file is sampled for zeros before it is opened."""
NUM_PROBES = 64
"""Number of positions at which a large file is sampled."""
FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mp3,"
    "mp4,mpeg,mpegts,mpegvideo,mxf,ogg,w64,wav,webm"
)
"""Accepted containers. Playlists are excluded, since they refer to other files and
hosts."""


def ffmpeg_version() -> str:
    """Return the versions of the decoder's libraries."""
    versions = sorted(av.library_versions.items())
    return " ".join(f"{name} {'.'.join(map(str, v))}" for name, v in versions)


@runtime_checkable
class ReadableFile(Protocol):
    """An open binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""

    def tell(self) -> int:
        """Return the position."""


class CheckedFile:
    """A file that the decoder reads; the first read error is kept.

    FFmpeg takes a read error for the end of the file, or for damage.
    """

    def __init__(self, file: ReadableFile) -> None:
        """Wrap an open file."""
        self._file = file
        self.name = str(getattr(file, "name", ""))
        """Path of the file; its suffix is a hint of the format for FFmpeg."""
        self.error: OSError | None = None
        """The first read error; the file seems to end there."""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, or nothing after a read error."""
        if self.error is None:
            try:
                return self._file.read(size)
            except OSError as error:
                self.error = error
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


@contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Open a file, or a member of a zip archive, if its bytes look like media.

    Raises:
        MediaError: If they do not, or if the file cannot be read up to where the
            decoder needs it.
    """
    opened = source.input()
    try:
        file = open_regular(Path(opened)) if isinstance(opened, str) else opened
    except OSError as error:
        raise unreadable(source.path, error) from error
    with file:
        checked = CheckedFile(file)
        try:
            with _open_container(checked) as container:
                yield container
        except Exception as error:
            if checked.error is not None:
                raise unreadable(source.path, checked.error) from error
            raise
        if checked.error is not None:
            raise unreadable(source.path, checked.error)


def _open_container(file: CheckedFile) -> InputContainer:
    head, mostly_zeros = _sample_bytes(file)
    if head.startswith(POINTER):
        msg = "a git-lfs pointer, not media; run 'git lfs pull' where it came from"
        raise MediaError(msg)
    if not head:
        msg = "the file is empty; get it again"
        raise MediaError(msg)
    if mostly_zeros:
        msg = "a large file of mostly zeros, as an interrupted copy; get it again"
        raise MediaError(msg)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(file, mode="r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        msg = f"not readable as media ({why}); get it again, or check its type"
        raise MediaError(msg) from error


def _sample_bytes(file: CheckedFile) -> tuple[bytes, bool]:
    """Return the first bytes, and whether the file is large and mostly zeros.

    FFmpeg would search the zeros for the next frame up to their end, and keep them in
    memory meanwhile.
    """
    head = file.read(64)
    size, zeros = file.seek(0, os.SEEK_END), 0
    step = size // NUM_PROBES
    for offset in range(0, size, step) if size > LARGE_BYTES else ():
        file.seek(offset)
        zeros += not file.read(4096).strip(b"\0")
    file.seek(0)
    return head, 2 * zeros > NUM_PROBES


def file_start_s(container: InputContainer) -> float:
    """Return the start time of a file on its own clock."""
    return (container.start_time or 0) / 1_000_000


def check_frame_size(width: int, height: int) -> None:
    """Reject a frame above `MAX_SIDE_PX`, before memory is allocated for it.

    Raises:
        MediaError: If a side is too long.
    """
    if max(width, height) > MAX_SIDE_PX:
        msg = f"frames of {width} x {height} px, at most {MAX_SIDE_PX} px per side"
        raise MediaError(msg)


def packets(
    container: InputContainer,
    wanted: list[Any],
    on_error: Callable[[str], None] = lambda _: None,
) -> "Iterator[Packet[Any]]":
    """Yield packets up to the end of the file, or up to the first damaged part.

    Args:
        container: The opened file.
        wanted: Streams, or None.
        on_error: Called with the reason if the file cannot be read to its end.
    """
    streams = [s for s in wanted if s is not None]
    demuxed = container.demux(streams)
    while True:
        try:
            yield next(demuxed)
        except IndexError:  # raised by a stream that begins in the middle of the file
            demuxed = container.demux(streams)
        except StopIteration:
            return
        except FFmpegError as error:
            on_error(error.strerror or str(error))
            return
