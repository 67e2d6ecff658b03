"""Read a manifest file, and report all of its problems at once."""

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from mmder_prep.corpora.csv_table import Problems, Table, read_table
from mmder_prep.corpora.manifest import (
    OPTIONAL,
    RATED,
    REQUIRED,
    Manifest,
    ManifestRow,
)
from mmder_prep.corpora.manifest_csv import (
    parse_crop,
    parse_emotion,
    parse_fold,
    parse_note,
    parse_optional_path,
    parse_path,
    parse_seconds,
    parse_text,
)
from mmder_prep.speaker_names import similarity_key
from mmder_store.emotions import VOCABULARY, label_set
from mmder_store.errors import ManifestError
from mmder_store.protocols import FoldProtocol

Value = TypeVar("Value")
Rows = Sequence[tuple[int, ManifestRow]]
"""Rows with the numbers of their lines."""


def read_manifest(
    file: Path, *, root: Path | None, label_map: Mapping[str, str] | None = None
) -> Manifest:
    """Read and check a manifest.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to. Default: the folder of the file.
        label_map: Emotion of each further word, from `read_label_map`.

    Raises:
        ManifestError: With every invalid line, the expected values, and the way out.
    """
    problems = Problems(file=file)
    table = read_table(problems, required=REQUIRED, allowed=REQUIRED + OPTIONAL)
    label_map = label_map or {}
    rows = _parse_rows(table.rows, table, problems, label_map)
    protocols = _protocols(rows, problems)
    clips = _checked(rows, problems)
    present = {row.emotion for row in clips} - {""}
    own = sorted(present - set(VOCABULARY))
    classes = [*(e for e in VOCABULARY if e in present), *own]
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=clips,
        label_sets=(label_set("as-given", classes),),
        protocols=protocols,
        warnings=(
            *table.warnings,
            *_respelled(table, label_map),
            *([f"{file.name}: classes of your own: {', '.join(own)}"] if own else ()),
            *_similar_speakers(clips, file),
        ),
    )


def read_list(file: Path, *, root: Path | None) -> Manifest:
    """Read a list of clips of which only ``path`` is required.

    The columns are those of a manifest; emotions are not read. A clip without a name is
    named after its path; a clip without a speaker has the speaker ``nobody``.

    Args:
        file: The CSV file.
        root: Folder that paths are relative to. Default: the folder of the file.

    Raises:
        ManifestError: As `read_manifest`.
    """
    problems = Problems(file=file)
    table = read_table(problems, required=("path",), allowed=REQUIRED + OPTIONAL)
    records = []
    for line, record in table.rows:
        known = {k: v for k, v in record.items() if v and k not in ("emotion", *RATED)}
        name = posixpath.splitext(known.get("path", ""))[0]
        records.append((line, {"clip_id": name, "speaker": "nobody", **known}))
    rows = _parse_rows(records, table, problems, {})
    return Manifest(
        corpus=file.stem,
        root=root or file.parent,
        rows=_checked(rows, problems),
        label_sets=(),
        protocols=(),
        warnings=table.warnings,
    )


class _Cells:
    """Cells of a line; a cell that cannot be parsed becomes a problem."""

    def __init__(
        self, line: int, record: Mapping[str, str], problems: Problems
    ) -> None:
        self._line, self._record, self._problems = line, record, problems
        self.valid = True

    def parse(
        self, name: str, parser: Callable[[str, str], Value], fallback: Value
    ) -> Value:
        """Return the value of a cell, or the fallback if it is invalid."""
        try:
            return parser(name, self._record.get(name, ""))
        except ValueError as error:
            self.add(*map(str, error.args))
            return fallback

    def add(self, *problem: str) -> None:
        """Add a problem of the line."""
        self.valid = False
        self._problems.add(self._line, *problem)


def _parse_rows(
    records: Sequence[tuple[int, Mapping[str, str]]],
    table: Table,
    problems: Problems,
    label_map: Mapping[str, str],
) -> Rows:
    """Return the rows without a problem; clip ids must be unique."""
    emotion = partial(parse_emotion, label_map=label_map)
    seconds = partial(parse_seconds, decimal_comma=table.decimal_comma)
    signed_seconds = partial(seconds, signed=True)
    rows = []
    lines: dict[str, int] = {}
    for line, record in records:
        cells = _Cells(line, record, problems)
        row = ManifestRow(
            clip_id=cells.parse("clip_id", parse_text, ""),
            path=cells.parse("path", parse_path, ""),
            emotion=cells.parse("emotion", emotion, ""),
            speaker=cells.parse("speaker", parse_text, ""),
            start_s=cells.parse("start_s", seconds, None),
            stop_s=cells.parse("stop_s", seconds, None),
            crop=cells.parse("crop", parse_crop, ""),
            sound=cells.parse("sound", parse_optional_path, ""),
            sound_at_s=cells.parse("sound_at_s", signed_seconds, None),
            fold=cells.parse("fold", parse_fold, None),
            note=cells.parse("note", parse_note, ""),
            **{name: cells.parse(name, emotion, "") for name in RATED},
        )
        if row.stop_s is not None and row.stop_s <= (row.start_s or 0.0):
            cells.add(f"stop_s {row.stop_s} is not after start_s {row.start_s or 0.0}")
        if row.clip_id in lines:
            cells.add(
                f"clip_id {row.clip_id!r} is already on line {lines[row.clip_id]}",
                "every clip needs a name of its own",
            )
        elif row.clip_id:
            lines[row.clip_id] = line
        if cells.valid:
            rows.append((line, row))
    return rows


def _checked(rows: Rows, problems: Problems) -> tuple[ManifestRow, ...]:
    """Return the rows, after checking that there are some.

    Raises:
        ManifestError: With all problems of the file, if there are any.
    """
    problems.raise_if_any()
    if not rows:
        msg = f"manifest {problems.file}: has no clips, only the line of column names"
        raise ManifestError(msg)
    return tuple(row for _, row in rows)


def _protocols(rows: Rows, problems: Problems) -> tuple[FoldProtocol, ...]:
    """Return the protocol of the column ``fold``, or nothing if it is empty."""
    if all(row.fold is None for _, row in rows):
        return ()
    fold_of: dict[str, int] = {}
    for line, row in rows:
        if row.fold is None or fold_of.setdefault(row.speaker, row.fold) != row.fold:
            problems.add(
                line,
                f"speaker {row.speaker!r} has fold {row.fold or 'none'}, on an earlier "
                f"line fold {fold_of.get(row.speaker, 'none')}",
                "every clip of a speaker needs the same fold, so that no speaker is in "
                "both training and test",
            )
    source = f"column fold of {problems.file.name}"
    return (FoldProtocol(name="manifest", fold_of=fold_of, source=source),)


def _respelled(table: Table, label_map: Mapping[str, str]) -> list[str]:
    """Return a warning about emotions that were replaced, not only in their case."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, record in table.rows:
        word = " ".join(record.get("emotion", "").split())
        emotion = parse_emotion("emotion", word, label_map)
        if word.lower() != emotion:
            counts[word, emotion] += 1
    read = ", ".join(
        f"{word!r} as {emotion or 'no emotion'} ({number})"
        for (word, emotion), number in counts.most_common()
    )
    return [f"emotions read, with the number of clips: {read}"] if read else []


def _similar_speakers(rows: Sequence[ManifestRow], file: Path) -> list[str]:
    """Return a warning about speakers that may be one person under several names."""
    names: dict[str, list[str]] = {}
    for speaker in sorted({row.speaker for row in rows}):
        names.setdefault(similarity_key(speaker), []).append(speaker)
    pairs = [" and ".join(map(repr, same)) for same in names.values() if len(same) > 1]
    if not pairs:
        return []
    return [
        f"{file.name}: speakers {', '.join(pairs)} are counted as different people; if "
        "they are one, their clips can be in both training and test: write one name"
    ]
