"""Only regular files are read: a device has no end, and a named pipe may block."""

import os
import socket
from pathlib import Path

import pytest

from mmder_prep.media.regular_file import exists, is_regular, open_regular, unreadable
from mmder_prep.media.source import Source, locate
from mmder_store.errors import MediaError

UNREADABLE = Path("/proc/self/mem")
"""A regular file on Linux; address 0 is not mapped, so that reading it is an EIO."""
needs_proc = pytest.mark.skipif(not UNREADABLE.exists(), reason="only on Linux")


def special_files(folder: Path) -> dict[str, Path]:
    """Make special files, and return them by their name in messages."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / "link").symlink_to("/dev/zero")
    return {
        "a named pipe": folder / "pipe",
        "a folder": folder / "folder",
        "a socket": folder / "socket",
        "a device": folder / "link",
    }


@pytest.mark.timeout(20)
def test_special_files_are_refused_without_being_read(tmp_path: Path) -> None:
    """The timeout fails the test if one is opened or read."""
    for kind, path in special_files(tmp_path).items():
        message = rf"cannot be read \({kind}, expected a regular file\)"
        with pytest.raises(MediaError, match=message):
            open_regular(path)
        source = Source(path)
        for call in (source.input, source.sha256, source.stamp, source.size_bytes):
            with pytest.raises(MediaError, match=message):
                call()
        with pytest.raises(MediaError, match=message):
            source.read(10)
        assert source.flaw() == f"cannot be read ({kind}, expected a regular file)"
        assert exists(path)
        assert not is_regular(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["zero", "urandom", "kmsg", "null", "full"])
def test_devices_are_refused(name: str) -> None:
    device = Path("/dev") / name
    if not device.exists():
        pytest.skip(f"no {device} here")
    with pytest.raises(MediaError, match="a device, expected a regular file"):
        Source(device).sha256()


@pytest.mark.timeout(20)
def test_a_pipe_that_replaces_the_file_after_the_check_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    regular = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(MediaError, match="a named pipe"):
        open_regular(tmp_path / "pipe")


def test_a_regular_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"


def test_names_that_the_system_refuses_are_media_errors(tmp_path: Path) -> None:
    """A name of 300 characters, a link to itself, and a null character."""
    (tmp_path / "self").symlink_to("self")
    for name, reason in (
        ("x" * 300 + ".mp4", "File name too long"),
        ("self", "Too many levels of symbolic links"),
        ("a\0b", "null"),
        ("self/x.zip/y", "Too many levels of symbolic links"),
    ):
        source = locate(tmp_path, name)
        assert not exists(source.path)
        for call in (source.stamp, source.sha256, source.size_bytes, source.input):
            with pytest.raises(MediaError, match=rf"cannot be read .*{reason}"):
                call()


@needs_proc
def test_a_read_error_is_a_media_error() -> None:
    """The kernel refuses to read this file with EIO, as a broken disk would."""
    with pytest.raises(MediaError, match=r"cannot be read \(Input/output error\)"):
        Source(UNREADABLE).sha256()


def test_a_backslash_in_a_missing_path_is_named() -> None:
    missing = FileNotFoundError(2, "No such file or directory")
    assert "write '/' between" in str(unreadable(Path("/m/clips\\a.mp4"), missing))
    assert "backslash" not in str(unreadable(Path("/m/clips/a.mp4"), missing))
