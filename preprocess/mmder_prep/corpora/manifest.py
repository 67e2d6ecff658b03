"""Manifests: the clips of a corpus with their speakers and emotions.

A manifest is a CSV file with the columns ``clip_id, path, emotion, speaker`` and,
optionally, those of `OPTIONAL`. The corpus commands make the same rows
from the folders of the publishers; everything after that is the same for all corpora.
"""

import csv
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from mmder_prep.corpora.manifest_csv import (
    parse_crop,
    parse_emotion,
    parse_fold,
    parse_seconds,
    parse_text,
    read_records,
)
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.regular_file import exists
from mmder_prep.media.source import locate
from mmder_store.emotions import VOCABULARY, LabelSet, label_set
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
        clips = [
            Clip(
                clip_id=row.clip_id,
                source=locate(self.root, row.path),
                audio=locate(self.root, row.sound) if row.sound else None,
                audio_start_s=row.sound_at_s,
                segment=Segment(start_s=row.start_s, stop_s=row.stop_s),
                crop=row.crop,
            )
            for row in self.rows
        ]
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


def read_manifest(file: Path, *, root: Path | None) -> Manifest:
    """Read and check a manifest.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to. Default: the folder of the file.

    Raises:
        ManifestError: With the first invalid line, the expected values, and the way
            out.
    """
    rows = [
        (line, _parse_row(line, record, file))
        for line, record in read_records(
            file, required=REQUIRED, allowed=REQUIRED + OPTIONAL
        )
    ]
    clips = _unique_rows(rows, file)
    present = {row.emotion for row in clips}
    labels = label_set("as-given", [e for e in VOCABULARY if e in present])
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=clips,
        label_sets=(labels,),
        protocols=_protocols(rows, file),
    )


def read_list(file: Path, *, root: Path | None) -> Manifest:
    """Read a list of clips of which only ``path`` is required.

    The columns are those of a manifest. A clip without a name is named after its path;
    a clip without a speaker has the speaker ``nobody``.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to. Default: the folder of the file.

    Raises:
        ManifestError: As `read_manifest`.
    """
    rows = []
    for line, record in read_records(
        file, required=("path",), allowed=REQUIRED + OPTIONAL
    ):
        known = {k: v for k, v in record.items() if v}
        name = posixpath.splitext(known.get("path", ""))[0]
        complete = {"clip_id": name, "speaker": "nobody", **known}
        rows.append((line, _parse_row(line, complete, file)))
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=_unique_rows(rows, file),
        label_sets=(),
        protocols=(),
    )


def write_rows(rows: Sequence[ManifestRow], out: TextIO) -> None:
    """Write a manifest for `read_manifest`, without optional columns that are empty."""
    records = [asdict(row) for row in rows]
    used = {c for record in records for c, value in record.items() if value}
    columns = [*REQUIRED, *(c for c in OPTIONAL if c in used)]
    table = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(records)


def _parse_row(line: int, record: Mapping[str, str], file: Path) -> ManifestRow:
    """Parse and check the cells of one line."""
    value = {name: record.get(name, "") for name in REQUIRED + OPTIONAL}
    try:
        row = ManifestRow(
            clip_id=parse_text("clip_id", value["clip_id"]),
            path=parse_text("path", value["path"]),
            emotion=parse_emotion("emotion", value["emotion"]),
            speaker=parse_text("speaker", value["speaker"]),
            start_s=parse_seconds("start_s", value["start_s"]),
            stop_s=parse_seconds("stop_s", value["stop_s"]),
            crop=parse_crop(value["crop"]),
            sound=parse_text("sound", value["sound"]) if value["sound"] else "",
            sound_at_s=parse_seconds("sound_at_s", value["sound_at_s"]),
            fold=parse_fold(value["fold"]),
            note=parse_text("note", value["note"]) if value["note"] else "",
            **{name: parse_emotion(name, value[name]) for name in RATED},
        )
        if row.stop_s is not None and row.stop_s <= (row.start_s or 0.0):
            msg = f"stop_s {row.stop_s} is not after start_s {row.start_s or 0.0}"
            raise ValueError(msg)
    except ValueError as error:
        msg = f"manifest {file}, line {line}: {error}"
        raise ManifestError(msg) from error
    return row


def _unique_rows(
    rows: Sequence[tuple[int, ManifestRow]], file: Path
) -> tuple[ManifestRow, ...]:
    """Return the rows after checking that there are some and that names are unique."""
    if not rows:
        msg = f"manifest {file}: has no clips, only the line of column names"
        raise ManifestError(msg)
    lines: dict[str, int] = {}
    for line, row in rows:
        if row.clip_id in lines:
            msg = (
                f"manifest {file}, line {line}: clip_id {row.clip_id!r} is already on "
                f"line {lines[row.clip_id]}; every clip needs a name of its own"
            )
            raise ManifestError(msg)
        lines[row.clip_id] = line
    return tuple(row for _, row in rows)


def _protocols(
    rows: Sequence[tuple[int, ManifestRow]], file: Path
) -> tuple[FoldProtocol, ...]:
    """Return the protocol of the column ``fold``, or nothing if it is empty."""
    if all(row.fold is None for _, row in rows):
        return ()
    fold_of: dict[str, int] = {}
    for line, row in rows:
        if row.fold is None or fold_of.setdefault(row.speaker, row.fold) != row.fold:
            msg = (
                f"manifest {file}, line {line}: speaker {row.speaker!r} has fold "
                f"{row.fold or 'none'}, on an earlier line fold "
                f"{fold_of.get(row.speaker, 'none')}; every clip of a speaker needs "
                "the same fold, so that no speaker is in both training and test"
            )
            raise ManifestError(msg)
    return (
        FoldProtocol(
            name="manifest", fold_of=fold_of, source=f"column fold of {file.name}"
        ),
    )
