"""Which clips the user named: files, folders of them, or a CSV list.

Uses mmder_prep, where it is called: only `mmder-train predict` does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mmder_store.errors import SettingsError

if TYPE_CHECKING:
    from mmder_prep.media.clip import Clip


@dataclass(frozen=True, kw_only=True)
class ClipList:
    """The clips, in the order in which they were named."""

    clips: tuple["Clip", ...]
    warnings: tuple[str, ...]
    """What was found and is no clip."""


def find_clips(paths: Sequence[Path], *, root: Path | None) -> ClipList:
    """Find the clips.

    A file is called after its name without suffix; one in a folder, after its path in
    there; in zip archives too. A CSV file is a list with at least the column ``path``.

    Args:
        paths: Media files, folders and CSV files.
        root: Folder that paths of a CSV file are relative to; its own where not given.

    Raises:
        MmderError: If something is not there, holds no clip, or two clips are called
            the same.
    """
    found: list[Clip] = []
    notes: list[str] = []
    for path in paths:
        if path.is_dir():
            clips, others = _folder(path)
            found += clips
            if others:
                notes.append(
                    f"{path}: {len(others)} files are no media by their suffix, the "
                    f"first {others[0]}"
                )
        elif not path.exists():
            msg = f"{path}: no such file or folder; expected clips, or a CSV list"
            raise SettingsError(msg)
        elif path.suffix.lower() == ".csv":
            from mmder_prep.corpora.manifest import read_list

            found += read_list(path, root=root).clips()
        else:
            found.append(_clip(path.parent, path.name, path.stem))
    counts = Counter(clip.clip_id for clip in found)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        msg = (
            f"clip {twice!r}: named {counts[twice]} times; every clip needs a name of "
            "its own. Name them in a CSV list with the columns clip_id and path."
        )
        raise SettingsError(msg)
    return ClipList(clips=tuple(found), warnings=tuple(notes))


def _folder(folder: Path) -> tuple[list["Clip"], list[str]]:
    """Give the clips of a folder, and the paths of its other files."""
    from mmder_prep.corpora.listing import MEDIA, files

    media: list[str] = []
    others: list[str] = []
    for name in files(folder):
        is_media = PurePosixPath(name).suffix.lower() in MEDIA
        (media if is_media else others).append(name)
    if not media:
        there = f"{len(others)} other files" if others else "nothing"
        msg = (
            f"folder {folder}: no media file in it, {there}; expected files named "
            f"{', '.join(sorted(MEDIA))}, or a CSV list of files"
        )
        raise SettingsError(msg)
    plain = [str(PurePosixPath(name).with_suffix("")) for name in media]
    counts = Counter(plain)
    clips = [
        # talk.mp4 beside talk.wav: both keep their suffix.
        _clip(folder, name, short if counts[short] == 1 else name)
        for name, short in zip(media, plain, strict=True)
    ]
    return clips, others


def _clip(root: Path, path: str, clip_id: str) -> "Clip":
    from mmder_prep.media.clip import Clip
    from mmder_prep.media.source import locate

    # A name may hold bytes that are no text, which no table can keep.
    shown = clip_id if clip_id.isprintable() else ascii(clip_id)
    return Clip(clip_id=shown, source=locate(root, path))
