"""Files of a corpus folder, including those inside zip archives."""

import codecs
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmder_prep.media.archive import BAD_ARCHIVE, contents
from mmder_prep.media.source import locate
from mmder_store.errors import ManifestError, MediaError

MEDIA = frozenset(
    {".avi", ".flac", ".flv", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".mpg"}
    | {".wav", ".webm"}
)
"""File name suffixes of media files."""
OTHER_ARCHIVES = re.compile(r".*\.(tar|tar\.\w+|tgz|tbz2?|txz|7z|rar|z\d\d|zip\.\d+)")
"""Names of archives that are not searched. Zip archives are searched unless they are
inside another one."""
MAX_TEXT_BYTES = 1 << 26
"""Maximum size of a text file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Files under a folder, as paths relative to it."""

    paths: tuple[str, ...]
    """Unpacked files first, then members of zip archives."""
    unreadable: tuple[str, ...] = ()
    """Files and folders that cannot be accessed, and the reasons."""
    archives: tuple[str, ...] = ()
    """Archives that are not searched."""

    def warnings(self) -> list[str]:
        """Return one line per kind of file that was not listed or not searched."""
        lines = []
        if self.unreadable:
            lines.append(
                f"{len(self.unreadable)} files or folders cannot be read and are "
                f"skipped, the first {self.unreadable[0]}"
            )
        if self.archives:
            lines.append(
                f"{len(self.archives)} archives are not searched, the first "
                f"{self.archives[0]}: {unpack_advice(self.archives)}"
            )
        return lines


@dataclass(slots=True)
class _Found:
    """Files and problems found so far."""

    zips: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)

    def add(self, path: str, *, inside_zip: bool = False) -> None:
        """Add a file to the list of its kind."""
        name = path.lower()
        if name.endswith(".zip") and not inside_zip:
            self.zips.append(path)
        elif name.endswith(".zip") or OTHER_ARCHIVES.fullmatch(name):
            self.archives.append(printable(path))
        else:
            self.paths.append(path)


def unpack_advice(archives: Sequence[str]) -> str:
    """Return advice on archives that are not searched, the first one as an example."""
    outer = next(
        (str(p) for p in PurePosixPath(archives[0]).parents if p.suffix == ".zip"), ""
    )
    return (
        f"unpack {outer}, zip archives in it can stay packed"
        if outer and archives[0].lower().endswith(".zip")
        else f"unpack {outer or 'it'}, only zip archives are read as they are"
    )


def scan(root: Path) -> Listing:
    """List the files under a folder.

    Names that begin with a dot are skipped, because macOS writes a ``._`` file for
    every file. Symbolic links are followed; broken links are listed too, because
    git-annex creates them for files that were not fetched.

    Raises:
        ManifestError: If the folder itself or an archive cannot be read.
    """
    found = _Found()
    if root.is_dir():
        _scan_folder(root, "", set(), found)
    for path in found.zips:
        _scan_archive(root, path, found)
    return Listing(
        paths=tuple(found.paths),
        unreadable=tuple(found.unreadable),
        archives=tuple(found.archives),
    )


def _scan_folder(
    folder: Path, prefix: str, seen: set[tuple[int, int]], found: _Found
) -> None:
    """Add the files of a folder sorted by name, then those of its subfolders."""
    try:
        status = folder.stat()
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        if prefix:
            found.unreadable.append(f"{printable(prefix)}: {error.strerror}")
            return
        msg = f"folder {folder}: cannot be read ({error.strerror})"
        raise ManifestError(msg) from error
    if (status.st_dev, status.st_ino) in seen:
        return  # a link to a folder that was already listed
    seen.add((status.st_dev, status.st_ino))
    subfolders = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = prefix + entry.name
        try:
            if entry.is_dir():
                subfolders.append(entry.name)
            elif entry.is_file() or entry.is_symlink():
                found.add(path)
            else:
                found.unreadable.append(f"{printable(path)}: not a regular file")
        except OSError as error:  # a link to itself, or a stale file handle
            found.unreadable.append(f"{printable(path)}: {error.strerror}")
    for name in subfolders:
        _scan_folder(folder / name, f"{prefix}{name}/", seen, found)


def _scan_archive(root: Path, path: str, found: _Found) -> None:
    """Add the files in a zip archive, without hidden files."""
    try:
        listed = contents(root / path)
    except (*BAD_ARCHIVE, MediaError) as error:
        msg = (
            f"archive {path}: cannot be read ({error}); download it again, or "
            "move it out of the folder"
        )
        raise ManifestError(msg) from error
    found.unreadable += [
        f"{printable(f'{path}/{name}')}: leads out of the archive"
        for name in listed.escaping
    ]
    for name in listed.by_path:
        if not name.rsplit("/", 1)[-1].startswith("."):
            found.add(f"{path}/{name}", inside_zip=True)


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
    return [printable(path)] if Path(path).suffix.lower() in MEDIA else []


def no_clips_error(
    root: Path,
    listing: Listing,
    *,
    corpus: str,
    wanted: str,
    found: str = "",
    source: str,
    advice: str = "",
) -> ManifestError:
    """Return the error for a folder without clips of a corpus.

    Args:
        root: Folder that was searched.
        listing: Its files.
        corpus: Name of the corpus command.
        wanted: Description of the expected files.
        found: Description of other files of the corpus in the folder, if any.
        source: Sentence on how to get the corpus, without the full stop.
        advice: Sentence on how to use the files that were found, if any.
    """
    if not root.is_dir():
        state = "not a folder" if root.exists() else "the folder does not exist"
    elif found:
        state = f"the folder has {found}"
    else:
        media = [name for path in listing.paths for name in media_names(path)]
        first = f", the first {media[0]}" if media else ""
        state = f"the folder has {len(media)} media files{first}"
    if listing.archives and not advice:
        state += (
            f", and {len(listing.archives)} archives that are not searched, the first "
            f"{listing.archives[0]}"
        )
        text = unpack_advice(listing.archives)
        advice = text[0].upper() + text[1:]
    if listing.unreadable:
        state += f"; {listing.unreadable[0]} is skipped"
    out = advice or (
        f"{source}, and pass the folder with --root or {root_variable(corpus)}"
    )
    msg = f"{corpus}: no {wanted} found in {root.absolute()}: {state}. {out}"
    return ManifestError(msg)


def root_variable(corpus: str) -> str:
    """Return the environment variable with the folder of a corpus."""
    return f"MMDER_{corpus.upper().replace('-', '_')}_ROOT"


def other_modality_advice(modality: str, clips: int) -> str:
    """Return advice to pass the other value of ``--modality``.

    Args:
        modality: The value in use.
        clips: Number of clips that the other value would find.
    """
    if not clips:
        return ""
    if modality == "av":
        return f"Pass --modality audio to use the {clips} clips that have only audio"
    return f"Pass --modality av to use the {clips} clips that have video"


def skipped_warnings(
    corpus: str,
    listing: Listing,
    *,
    unexpected: Sequence[str],
    duplicates: Sequence[str],
) -> list[str]:
    """Return one warning per kind of skipped media file.

    Args:
        corpus: Name of the corpus, for the text.
        listing: Files of the folder.
        unexpected: Printable paths of media files that are not clips of the corpus.
        duplicates: Paths of files with the name of a clip that was already found.
    """
    warnings = listing.warnings()
    if unexpected:
        warnings.append(
            f"{len(unexpected)} media files are not clips of {corpus} and are skipped, "
            f"the first {unexpected[0]}"
        )
    if duplicates:
        warnings.append(
            f"{len(duplicates)} files have the name of a clip that was already found "
            f"and are skipped, the first {printable(duplicates[0])}"
        )
    return warnings


def clip_names(paths: Sequence[str]) -> list[str]:
    """Return a unique clip id for each path: the path without its suffix.

    Files that differ only in their suffix keep it. A name whose bytes are not text is
    made printable.
    """
    short = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    count = Counter(short) + Counter(set(paths))
    return [
        printable(name if count[name] == 1 else path)
        for name, path in zip(short, paths, strict=True)
    ]


def printable(path: str) -> str:
    """Return a path that can be printed even if its bytes are not valid text."""
    return path if path.isprintable() else ascii(path)
