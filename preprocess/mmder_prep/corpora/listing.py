"""Which files lie under a folder, unpacked or still in zip archives."""

import codecs
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmder_prep.media.source import locate
from mmder_store.errors import ManifestError, MediaError

MEDIA = frozenset(
    {".avi", ".flac", ".flv", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".mpg"}
    | {".wav", ".webm"}
)

MAX_TEXT_BYTES = 1 << 26


def files(root: Path) -> Iterator[str]:
    """Yield paths relative to the root, unpacked files first, then those in archives.

    What begins with a dot is left out: macOS puts a ``._`` file beside every other.
    Links are followed, also those that lead nowhere: git-annex leaves such.

    Raises:
        ManifestError: If a folder or an archive cannot be read.
    """
    archives = []
    for path in _unpacked(root, "", set()) if root.is_dir() else ():
        if path.lower().endswith(".zip"):
            archives.append(path)
        else:
            yield path
    for path in archives:
        for name in _members(root / path):
            yield f"{path}/{name}"


def _unpacked(folder: Path, within: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield the files of a folder in the order of their names, then of those in it."""
    try:
        status = folder.stat()
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        msg = f"folder {folder}: cannot be read ({error.strerror})"
        raise ManifestError(msg) from error
    if (status.st_dev, status.st_ino) in seen:
        return  # a link that leads back up
    seen.add((status.st_dev, status.st_ino))
    below = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            below.append(entry.name)
        elif entry.is_file() or entry.is_symlink():
            yield within + entry.name
    for name in below:
        yield from _unpacked(folder / name, f"{within}{name}/", seen)


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        msg = (
            f"archive {path.name}: cannot be read ({error}); download it again, or "
            "move it away"
        )
        raise ManifestError(msg) from error
    return sorted(n for n in names if not n.rsplit("/", 1)[-1].startswith("."))


def lines_of(root: Path, path: str) -> list[str]:
    """Read the lines of a small text file, whatever encoding it was saved in.

    UTF-8 and UTF-16 are told by their bytes; what is neither counts as Latin-1.

    Raises:
        ManifestError: If it cannot be read, or is no list that a person would write.
    """
    try:
        data = locate(root, path).read(MAX_TEXT_BYTES)
    except MediaError as error:
        msg = f"{path}: {error}"
        raise ManifestError(msg) from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    # str.splitlines would also split where a comment holds an odd character.
    return re.split(r"\r\n|\r|\n", text)


def stray(path: str) -> list[str]:
    """Give the path of a media file as it can be printed; of another file, nothing."""
    return [_plain(path)] if Path(path).suffix.lower() in MEDIA else []


def nothing(
    root: Path, *, corpus: str, wanted: str, known: str = "", way: str
) -> ManifestError:
    """Make the error of a folder in which no clip of a corpus was found.

    Args:
        root: Where was looked.
        corpus: Name of the corpus' command.
        wanted: What was looked for.
        known: What of the corpus is there all the same.
        way: Where to get it.
    """
    if not root.is_dir():
        there = "that is no folder" if root.exists() else "there is no such folder"
    elif known:
        there = known
    else:
        media = [name for path in files(root) for name in stray(path)]
        first = f", the first {media[0]}" if media else ""
        there = f"{len(media)} media files are there{first}"
    return ManifestError(
        f"{corpus}: no {wanted} in {root.absolute()}: {there}. {way}, and name the "
        f"folder with --root or MMDER_{corpus.upper()}_ROOT"
    )


def left_out(corpus: str, *, strays: Sequence[str], twice: Sequence[str]) -> list[str]:
    """Say, in a line each or none, which media files are no clips, or no new ones."""
    said = []
    if strays:
        said.append(
            f"{len(strays)} media files are no clips of {corpus} and are left out, the "
            f"first {strays[0]}"
        )
    if twice:
        said.append(
            f"{len(twice)} files are there twice and the first found is taken; left "
            f"out is {_plain(twice[0])}"
        )
    return said


def _plain(path: str) -> str:
    """Give a path as it can be printed, also where its bytes are no text."""
    return path if path.isprintable() else ascii(path)
