"""Manifests: the clips of a corpus with their speakers and emotions.

A manifest is a CSV file with the columns ``clip_id, path, emotion, speaker`` and,
optionally, those of `OPTIONAL`. The corpus commands make the same rows
from the folders of the publishers; everything after that is the same for all corpora.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.regular_file import exists
from mmder_prep.media.source import locate
from mmder_store.emotions import LabelSet
from mmder_store.errors import ManifestError
from mmder_store.protocols import FoldProtocol
from mmder_store.settings import digest

REQUIRED = ("clip_id", "path", "emotion", "speaker")
RATED = ("rated_voice", "rated_face", "rated_both")
OPTIONAL = (
    "start_s",
    "stop_s",
    "crop",
    "sound",
    "sound_at_s",
    "fold",
    *RATED,
    "note",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow:
    """One clip of a corpus."""

    clip_id: str
    """Unique name of the clip."""
    path: str
    """Media file, relative to the root. May lead through a zip file."""
    emotion: str
    """Word of the vocabulary. Empty for a clip that is never trained on."""
    speaker: str
    """Name of the person who speaks."""
    start_s: float | None = None
    """Start of the clip in its file; None for the first video frame."""
    stop_s: float | None = None
    """End of the clip in its file; None for the end of the file."""
    crop: str = ""
    """``left`` or ``right`` half, or ``left top right bottom`` in pixels."""
    sound: str = ""
    """Separate audio file, relative to the root. Empty to use the media file."""
    sound_at_s: float | None = None
    """Start of the separate audio file, in seconds of the file at `path`. None if it
    starts with the first video frame."""
    fold: int | None = None
    """Number of the fold in which the speaker is tested, from 1."""
    rated_voice: str = ""
    """Emotion that most raters heard in the voice. Empty if unknown or a tie."""
    rated_face: str = ""
    """Emotion that most raters saw in the face. Empty if unknown or a tie."""
    rated_both: str = ""
    """Emotion that most raters found in voice and face. Empty if unknown or a tie."""
    note: str = ""
    """Known defect of the clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The clips of a corpus, found and checked."""

    corpus: str
    """Name of the corpus."""
    root: Path
    """Folder that the paths are relative to."""
    rows: tuple[ManifestRow, ...]
    """The clips, in the order in which they are stored."""
    label_sets: tuple[LabelSet, ...]
    """Label sets that fit the emotions, the default first."""
    protocols: tuple[FoldProtocol, ...]
    """Fold protocols that fit the speakers, the default first."""
    warnings: tuple[str, ...] = ()
    """Lines to print: the number of clips found, and anything unusual."""
    unexpected_files: tuple[str, ...] = ()
    """Media files under the root that are not clips of the corpus, relative to it."""
    unreadable_files: tuple[str, ...] = ()
    """Files and folders under the root that cannot be accessed, with the reason."""
    advice: str = ""
    """Sentence on how to use the files that were found, if no media file exists."""

    @property
    def sha256(self) -> str:
        """Hash of all rows."""
        return digest([asdict(row) for row in self.rows])

    def clips(self) -> list[Clip]:
        """Return the clips in the order of the rows.

        Raises:
            ManifestError: If a path leads out of the root, or no file exists.
        """
        clips = [to_clip(self.root, row) for row in self.rows]
        if not any(exists(clip.source.path) for clip in clips):
            backslash = any("\\" in row.path for row in self.rows)
            advice = self.advice or (
                f"Paths are relative to {self.root}: pass the folder that holds the "
                "media with --root"
            )
            msg = (
                f"{self.corpus}: none of {len(clips)} files exists, the first is "
                f"{clips[0].source.path}. "
                + ("Write '/' between folders, not a backslash. " if backslash else "")
                + advice
            )
            raise ManifestError(msg)
        return clips


def to_clip(root: Path, row: ManifestRow) -> Clip:
    """Return the clip of a row.

    Args:
        root: Folder that the paths of the row are relative to.
        row: Row of a manifest.

    Raises:
        ManifestError: If a path leads out of the root.
    """
    return Clip(
        clip_id=row.clip_id,
        source=locate(root, row.path),
        audio=locate(root, row.sound) if row.sound else None,
        audio_start_s=row.sound_at_s,
        segment=Segment(start_s=row.start_s, stop_s=row.stop_s),
        crop=row.crop,
    )


def write_rows(rows: Sequence[ManifestRow], out: TextIO) -> None:
    """Write a manifest for `read_manifest`, without optional columns that are empty."""
    records = [asdict(row) for row in rows]
    used = {c for record in records for c, value in record.items() if value}
    columns = [*REQUIRED, *(c for c in OPTIONAL if c in used)]
    table = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(records)
