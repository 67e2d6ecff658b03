"""Files of a corpus folder, including those inside zip archives."""

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
"""File name suffixes of media files."""

MAX_TEXT_BYTES = 1 << 26
"""Maximum size of a text file."""


def files(root: Path) -> Iterator[str]:
    """Yield paths relative to the root: unpacked files first, then zip members.

    Names that begin with a dot are skipped, because macOS writes a ``._`` file for
    every file. Symbolic links are followed; broken links are listed too, because
    git-annex creates them for files that were not fetched.

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


def _unpacked(folder: Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield the files of a folder sorted by name, then those of its subfolders."""
    try:
        status = folder.stat()
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        msg = f"folder {folder}: cannot be read ({error.strerror})"
        raise ManifestError(msg) from error
    if (status.st_dev, status.st_ino) in seen:
        return  # a link to a folder that was already listed
    seen.add((status.st_dev, status.st_ino))
    subfolders = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            subfolders.append(entry.name)
        elif entry.is_file() or entry.is_symlink():
            yield prefix + entry.name
    for name in subfolders:
        yield from _unpacked(folder / name, f"{prefix}{name}/", seen)


def _members(path: Path) -> list[str]:
    """Return the names of the files in a zip archive, without hidden files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        msg = (
            f"archive {path.name}: cannot be read ({error}); download it again, or "
            "move it out of the folder"
        )
        raise ManifestError(msg) from error
    return sorted(n for n in names if not n.rsplit("/", 1)[-1].startswith("."))


def read_lines(root: Path, path: str) -> list[str]:
    """Return the lines of a small text file in any common encoding.

    UTF-8 and UTF-16 are recognized by their bytes; everything else is read as Latin-1.

    Raises:
        ManifestError: If the file cannot be read or is too large.
    """
    try:
        data = locate(root, path).read(MAX_TEXT_BYTES)
    except MediaError as error:
        msg = f"{path}: {error}"
        raise ManifestError(msg) from error
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    # str.splitlines would also split at unusual characters inside a comment.
    return re.split(r"\r\n|\r|\n", text)


def media_names(path: str) -> list[str]:
    """Return the printable path of a media file as a list; empty for other files."""
    return [_printable(path)] if Path(path).suffix.lower() in MEDIA else []


def no_clips_error(
    root: Path, *, corpus: str, wanted: str, found: str = "", source: str
) -> ManifestError:
    """Return the error for a folder without clips of a corpus.

    Args:
        root: Folder that was searched.
        corpus: Name of the corpus command.
        wanted: Description of the expected files.
        found: Description of other files of the corpus in the folder, if any.
        source: Sentence on how to get the corpus, without the full stop.
    """
    if not root.is_dir():
        state = "not a folder" if root.exists() else "the folder does not exist"
    elif found:
        state = f"the folder has {found}"
    else:
        media = [name for path in files(root) for name in media_names(path)]
        first = f", the first {media[0]}" if media else ""
        state = f"the folder has {len(media)} media files{first}"
    return ManifestError(
        f"{corpus}: no {wanted} found in {root.absolute()}: {state}. {source}, and "
        f"pass the folder with --root or MMDER_{corpus.upper()}_ROOT"
    )


def skipped_warnings(
    corpus: str, *, unexpected: Sequence[str], duplicates: Sequence[str]
) -> list[str]:
    """Return one warning per kind of skipped media file.

    Args:
        corpus: Name of the corpus, for the text.
        unexpected: Printable paths of media files that are not clips of the corpus.
        duplicates: Paths of files with the name of a clip that was already found.
    """
    warnings = []
    if unexpected:
        warnings.append(
            f"{len(unexpected)} media files are not clips of {corpus} and are skipped, "
            f"the first {unexpected[0]}"
        )
    if duplicates:
        warnings.append(
            f"{len(duplicates)} files have the name of a clip that was already found "
            f"and are skipped, the first {_printable(duplicates[0])}"
        )
    return warnings


def _printable(path: str) -> str:
    """Return a path that can be printed even if its bytes are not valid text."""
    return path if path.isprintable() else ascii(path)
