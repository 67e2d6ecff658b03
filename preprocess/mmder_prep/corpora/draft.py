"""Draft of a manifest: one line per media file of a folder, to fill in by hand."""

import csv
import os
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmder_prep.corpora.listing import MEDIA, clip_names, printable, scan
from mmder_prep.corpora.manifest import REQUIRED
from mmder_prep.corpora.manifest_csv import parse_text
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import ManifestError


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft that was written."""

    clips: int
    """Number of lines, without the line of column names."""
    warnings: tuple[str, ...]
    """Lines to print about files that are not listed."""
    next_command: str
    """Command that prepares the clips when the draft is filled in."""


def write_draft(folder: Path, out: Path) -> Draft:
    """Write the media files under a folder as a manifest without emotions and speakers.

    Paths are relative to the folder of the manifest if the media are below it, else to
    the folder of the media.

    Raises:
        ManifestError: If the folder has no media file, or the manifest exists.
    """
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        msg = f"folder {folder}: {state}; expected a folder with media files"
        raise ManifestError(msg)
    if os.path.lexists(out):
        msg = (
            f"manifest {out}: exists and may be filled in; choose another --out, or "
            "remove it"
        )
        raise ManifestError(msg)
    listing = scan(folder)
    media = [p for p in listing.paths if PurePosixPath(p).suffix.lower() in MEDIA]
    prefix = _prefix(folder, out)
    listed = [path for path in media if _fits_a_cell((prefix or "") + path)]
    warnings = listing.warnings()
    if len(listed) < len(media):
        first = next(path for path in media if path not in set(listed))
        warnings.append(
            f"{len(media) - len(listed)} files have a name that a manifest cannot "
            f"contain and are not listed, the first {printable(first)}: rename them"
        )
    others = len(listing.paths) - len(media)
    if others:
        warnings.append(f"{others} files are not media files and are not listed")
    if not listed:
        msg = (
            f"folder {folder}: no media file in it; expected files with the suffix "
            f"{', '.join(sorted(MEDIA))}"
        )
        raise ManifestError("; ".join([msg, *warnings]))
    rows = zip(clip_names(listed), listed, strict=True)
    with (
        atomic_write(out) as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(REQUIRED)
        table.writerows((name, (prefix or "") + path, "", "") for name, path in rows)
    root = "" if prefix is not None else f" --root {shlex.quote(str(folder))}"
    return Draft(
        clips=len(listed),
        warnings=tuple(warnings),
        next_command=f"mmder-prep manifest {shlex.quote(str(out))}{root} --out STORE",
    )


def _prefix(folder: Path, out: Path) -> str | None:
    """Return the path of the media relative to the manifest, None if not below it."""
    base = Path(os.path.normpath(out.absolute())).parent
    media = Path(os.path.normpath(folder.absolute()))
    if not media.is_relative_to(base):
        return None
    relative = media.relative_to(base).as_posix()
    return "" if relative == "." else f"{relative}/"


def _fits_a_cell(path: str) -> bool:
    """Return whether a manifest that contains the path is read back as it is."""
    try:
        return parse_text("path", path) == path.strip() == path
    except ValueError:
        return False
