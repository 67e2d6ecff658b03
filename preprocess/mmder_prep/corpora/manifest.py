"""Manifests: which clips there are, who speaks in them, and what is felt.

A CSV file with the columns ``clip_id, path, emotion, speaker`` and, where wanted,
those of `OPTIONAL`. The commands of the corpora make the same rows from
the publishers' folders; everything after is one way for all.
"""

import csv
import difflib
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from mmder_prep.media.clip import Clip, Segment
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
MAX_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow:
    """One clip of a corpus."""

    clip_id: str
    path: str
    """Relative to the root; may run through a zip file."""
    emotion: str
    """A word of the vocabulary, or empty: prepared, never trained on."""
    speaker: str
    start_s: float | None = None
    """Where the clip starts in its file; the first picture where not said."""
    stop_s: float | None = None
    crop: str = ""
    """``left`` or ``right`` half, or ``left top right bottom`` in pixels."""
    sound: str = ""
    """Another file to take the sound from, relative to the root."""
    sound_at_s: float | None = None
    """When that file starts, in seconds of the file at `path`; with its first picture
    where not said."""
    fold: int | None = None
    """From 1; the fold in which the speaker is tested."""
    rated_voice: str = ""
    """What most raters heard, as `emotion`; empty where unknown or a tie."""
    rated_face: str = ""
    """What most raters saw."""
    rated_both: str = ""
    """What most raters found in voice and face together."""
    note: str = ""
    """What is known to be wrong with the clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A corpus, found and checked."""

    corpus: str
    root: Path
    rows: tuple[ManifestRow, ...]
    label_sets: tuple[LabelSet, ...]
    protocols: tuple[FoldProtocol, ...]
    warnings: tuple[str, ...] = ()
    """What the user should know about what was found."""
    strays: tuple[str, ...] = ()
    """Media files under the root that are no clip of the corpus, relative to it."""

    @property
    def sha256(self) -> str:
        """Hash all rows."""
        return digest([asdict(row) for row in self.rows])

    def clips(self) -> list[Clip]:
        """Give the clips in their order.

        Raises:
            ManifestError: If a path leads out of the root, or no file is there.
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
        if not any(clip.source.path.exists() for clip in clips):
            msg = (
                f"{self.corpus}: none of {len(clips)} files is there; the first would "
                f"be {clips[0].source.path}. Paths are relative to {self.root}: "
                "name the folder that holds the media with --root"
            )
            raise ManifestError(msg)
        return clips


def read_manifest(file: Path, *, root: Path | None) -> Manifest:
    """Read and check a manifest.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to; the file's own where not given.

    Raises:
        ManifestError: With the first line that is wrong, what is expected, and the
            way out.
    """
    rows = [_row(line, record, file) for line, record in _records(file, REQUIRED)]
    clips = _distinct(rows, file)
    present = {row.emotion for row in clips}
    labels = label_set("as-given", [e for e in VOCABULARY if e in present])
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=clips,
        label_sets=(labels,),
        protocols=_protocol(rows, file),
    )


def read_list(file: Path, *, root: Path | None) -> Manifest:
    """Read a list of clips of which no more than ``path`` must be known.

    Its columns are those of a manifest. A clip without a name is called after its
    path, a speaker without one is nobody.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to; the file's own where not given.

    Raises:
        ManifestError: As `read_manifest`.
    """
    rows = []
    for line, record in _records(file, ("path",)):
        known = {k: v for k, v in record.items() if v}
        name = posixpath.splitext(known.get("path", ""))[0]
        rows.append(_row(line, {"clip_id": name, "speaker": "nobody", **known}, file))
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=_distinct(rows, file),
        label_sets=(),
        protocols=(),
    )


def _distinct(
    rows: Sequence[tuple[int, ManifestRow]], file: Path
) -> tuple[ManifestRow, ...]:
    """Give the rows, if there are some and each has a name of its own."""
    if not rows:
        msg = f"manifest {file}: no clip in it, only the line of column names"
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


def write_rows(rows: Sequence[ManifestRow], out: TextIO) -> None:
    """Write a manifest that `read_manifest` reads, with the columns that are used."""
    records = [asdict(row) for row in rows]
    used = {c for record in records for c, value in record.items() if value}
    columns = [*REQUIRED, *(c for c in OPTIONAL if c in used)]
    table = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(records)


def _records(
    file: Path, required: Sequence[str]
) -> Iterable[tuple[int, Mapping[str, str]]]:
    """Yield the lines of the table by number."""
    try:
        if file.stat().st_size > MAX_BYTES:
            msg = f"manifest {file}: larger than 1 GiB, so hardly a list of clips"
            raise ManifestError(msg)
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text; save it as UTF-8 CSV"
        msg = f"manifest {file}: cannot be read ({why})"
        raise ManifestError(msg) from error
    reader = csv.DictReader(text.splitlines(), strict=True, skipinitialspace=True)
    try:
        columns = [c.strip() for c in reader.fieldnames or []]
        reader.fieldnames = columns
        _check_columns(columns, file, required)
        for record in reader:
            if None in record or None in record.values():
                msg = (
                    f"manifest {file}, line {reader.line_num}: other than "
                    f"{len(columns)} values; quote values that hold a comma"
                )
                raise ManifestError(msg)
            yield reader.line_num, {k: v.strip() for k, v in record.items()}
    except csv.Error as error:
        msg = f"manifest {file}, line {reader.line_num}: not CSV ({error})"
        raise ManifestError(msg) from error


def _check_columns(columns: Sequence[str], file: Path, required: Sequence[str]) -> None:
    missing = [c for c in required if c not in columns]
    unknown = [c for c in columns if c not in REQUIRED + OPTIONAL]
    if missing or unknown or len(set(columns)) != len(columns):
        what = "; ".join(
            f"{word} {', '.join(map(repr, names))}"
            for word, names in (("missing", missing), ("not known", unknown))
            if names
        )
        wanted = [c for c in REQUIRED + OPTIONAL if c not in required]
        msg = (
            f"manifest {file}: columns {what or 'named twice'}. Expected "
            f"{', '.join(required)} and, where wanted, {', '.join(wanted)}"
        )
        raise ManifestError(msg)


def _row(line: int, record: Mapping[str, str], file: Path) -> tuple[int, ManifestRow]:
    """Check one line."""
    value = {name: record.get(name, "") for name in REQUIRED + OPTIONAL}
    try:
        row = ManifestRow(
            clip_id=_name("clip_id", value["clip_id"]),
            path=_name("path", value["path"]),
            emotion=_emotion(value["emotion"]),
            speaker=_name("speaker", value["speaker"]),
            start_s=_seconds("start_s", value["start_s"]),
            stop_s=_seconds("stop_s", value["stop_s"]),
            crop=_crop(value["crop"]),
            sound=_name("sound", value["sound"]) if value["sound"] else "",
            sound_at_s=_seconds("sound_at_s", value["sound_at_s"]),
            fold=_fold(value["fold"]),
            note=_name("note", value["note"]) if value["note"] else "",
            **{name: _emotion(value[name], name) for name in RATED},
        )
        if row.stop_s is not None and row.stop_s <= (row.start_s or 0.0):
            msg = f"stop_s {row.stop_s} is not after start_s {row.start_s or 0.0}"
            raise ValueError(msg)
    except ValueError as error:
        msg = f"manifest {file}, line {line}: {error}"
        raise ManifestError(msg) from error
    return line, row


def _name(column: str, text: str) -> str:
    if 1 <= len(text) <= 1000 and text.isprintable():
        return text
    msg = f"{column} {text[:40]!r}: expected 1 to 1000 printable characters"
    raise ValueError(msg)


def _emotion(text: str, column: str = "emotion") -> str:
    emotion = text.lower()
    if not emotion or emotion in VOCABULARY:
        return emotion
    near = difflib.get_close_matches(emotion, VOCABULARY, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    words = ", ".join(VOCABULARY)
    msg = f"{column} {text!r} is not known{hint}: expected one of {words}, or empty"
    raise ValueError(msg)


def _seconds(column: str, text: str) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"\d{1,6}(\.\d*)?", text):
        return float(text)
    msg = f"{column} {text!r}: expected seconds from the start of the file, as 12.5"
    raise ValueError(msg)


def _crop(text: str) -> str:
    crop = " ".join(text.lower().split())
    if crop in ("", "left", "right") or re.fullmatch(r"\d{1,5}( \d{1,5}){3}", crop):
        return crop
    msg = (
        f"crop {text!r}: expected left, right, or four whole numbers of pixels with "
        "blanks between: left top right bottom"
    )
    raise ValueError(msg)


def _fold(text: str) -> int | None:
    if not text or re.fullmatch(r"[1-9]\d{0,3}", text):
        return int(text) if text else None
    msg = f"fold {text!r}: expected a whole number from 1"
    raise ValueError(msg)


def _protocol(
    rows: Sequence[tuple[int, ManifestRow]], file: Path
) -> tuple[FoldProtocol, ...]:
    """Read the folds of speakers, where the manifest names them."""
    if all(row.fold is None for _, row in rows):
        return ()
    fold_of: dict[str, int] = {}
    for line, row in rows:
        if row.fold is None or fold_of.setdefault(row.speaker, row.fold) != row.fold:
            found = row.fold or "none"
            msg = (
                f"manifest {file}, line {line}: speaker {row.speaker!r} in fold "
                f"{found}, before in {fold_of.get(row.speaker, 'none')}; a speaker is "
                "tested in one fold, or one voice would be learned and tested"
            )
            raise ManifestError(msg)
    return (
        FoldProtocol(
            name="manifest", fold_of=fold_of, source=f"column fold of {file.name}"
        ),
    )
