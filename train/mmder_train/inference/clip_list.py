"""Search for clips in media files, folders and CSV lists.

mmder_prep is imported inside the functions, because only prediction needs it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mmder_store.errors import SettingsError
from mmder_store.local_path import check_local

if TYPE_CHECKING:
    from mmder_prep.media.clip import Clip


@dataclass(frozen=True, kw_only=True)
class ClipList:
    """Clips in the order of the paths that they were found under."""

    clips: tuple["Clip", ...]
    warnings: tuple[str, ...]
    """One line per folder with files that were skipped because they are not media."""


def find_clips(
    paths: str | Path | Sequence[str | Path], *, root: str | Path | None = None
) -> ClipList:
    """Find the clips in media files, folders and CSV lists.

    The id of a clip is its file name without the suffix. For a clip inside a folder, it
    is the path relative to that folder without the suffix. Folders are searched with
    their subfolders and zip archives. A CSV list has at least the column ``path``.

    Args:
        paths: One path, or several. Each is a media file, a folder or a CSV list.
        root: Folder that the paths in a CSV list are relative to. None for the folder
            of the list.

    Raises:
        MmderError: If a path does not exist, a folder contains no clip, a list cannot
            be read, or two clips have the same id.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    for path in (*paths, root or ""):
        check_local(path, "clips")
    clips: list[Clip] = []
    warnings: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            found, lines = _clips_in_folder(path)
            clips += found
            warnings += lines
        elif not path.exists():
            msg = f"{path}: no such file or folder; expected clips, or a CSV list"
            raise SettingsError(msg)
        elif path.suffix.lower() == ".csv":
            from mmder_prep.corpora.manifest_file import read_list

            listed = read_list(path, root=None if root is None else Path(root))
            clips += listed.clips()
            warnings += listed.warnings
        else:
            clips.append(_clip(path.parent, path.name, path.stem))
    counts = Counter(clip.clip_id for clip in clips)
    repeated = next((clip_id for clip_id, n in counts.items() if n > 1), None)
    if repeated is not None:
        msg = (
            f"clip {repeated!r}: {counts[repeated]} clips have this id; expected "
            "unique ids. Set them in a CSV list with the columns clip_id and path."
        )
        raise SettingsError(msg)
    return ClipList(clips=tuple(clips), warnings=tuple(warnings))


def _clips_in_folder(folder: Path) -> tuple[list["Clip"], list[str]]:
    """Return the clips of a folder, and one warning per kind of skipped file."""
    from mmder_prep.corpora.listing import MEDIA, clip_names, scan, unpack_advice

    listing = scan(folder)
    media: list[str] = []
    others: list[str] = []
    for path in listing.paths:
        is_media = PurePosixPath(path).suffix.lower() in MEDIA
        (media if is_media else others).append(path)
    if not media:
        archives = ""
        if listing.archives:
            archives = (
                f", and {len(listing.archives)} archives that are not searched, first "
                f"{listing.archives[0]}: {unpack_advice(listing.archives)}"
            )
        msg = (
            f"folder {folder}: no media file in it, {len(others)} other files"
            f"{archives}; expected files with the suffix {', '.join(sorted(MEDIA))}, "
            "or a CSV list"
        )
        raise SettingsError(msg)
    clips = [
        _clip(folder, path, name)
        for path, name in zip(media, clip_names(media), strict=True)
    ]
    warnings = [f"{folder}: {line}" for line in listing.warnings()]
    if others:
        warnings.append(
            f"{folder}: skipped {len(others)} files without a media suffix, "
            f"first {others[0]}"
        )
    return clips, warnings


def _clip(root: Path, path: str, clip_id: str) -> "Clip":
    from mmder_prep.media.clip import Clip
    from mmder_prep.media.source import locate

    # A file name may contain bytes that are not text, which a table cannot store.
    printable = clip_id if clip_id.isprintable() else ascii(clip_id)
    return Clip(clip_id=printable, source=locate(root, path))
