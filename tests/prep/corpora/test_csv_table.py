"""Tables as spreadsheets write them: separators, encodings, spellings of columns."""

import os
from pathlib import Path

import pytest

from mmder_prep.corpora.csv_table import MAX_PROBLEMS, Problems, Table, read_table
from mmder_store.errors import ManifestError, ManifestProblemsError

REQUIRED, ALLOWED = ("clip_id", "path"), ("clip_id", "path", "note", "start_s")
ROWS = [{"clip_id": "a", "path": "x, y.mp4"}, {"clip_id": "b", "path": "z.mp4"}]


def read(folder: Path, data: bytes) -> tuple[Table, Problems]:
    (folder / "m.csv").write_bytes(data)
    problems = Problems(file=folder / "m.csv")
    return read_table(problems, required=REQUIRED, allowed=ALLOWED), problems


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dialect_is_read_the_same(
    separator: str, end: str, encoding: str, tmp_path: Path
) -> None:
    lines = ("clip_id,path", 'a,"x, y.mp4"', "b,z.mp4")
    text = end.join(line.replace(",", separator, 1) for line in lines)
    table, problems = read(tmp_path, text.encode(encoding))
    assert [record for _, record in table.rows] == ROWS
    assert [line for line, _ in table.rows] == [2, 3]
    assert (problems.lines_of, table.warnings) == ({}, ())
    assert table.decimal_comma == (separator != ",")


def test_the_separator_line_of_excel_is_read(tmp_path: Path) -> None:
    """Line numbers are those of the file."""
    table, _ = read(tmp_path, b"sep=;\r\nclip_id;path\r\na;x.mp4\r\n")
    assert table.rows == ((3, {"clip_id": "a", "path": "x.mp4"}),)


def test_names_of_columns_are_read_in_any_case(tmp_path: Path) -> None:
    table, _ = read(tmp_path, b"Clip ID, PATH ,Start-S\na,x.mp4,1\n")
    assert table.rows[0][1] == {"clip_id": "a", "path": "x.mp4", "start_s": "1"}


def test_windows_1252_is_read_with_a_warning(tmp_path: Path) -> None:
    table, _ = read(tmp_path, "clip_id;path\nJürgen;ü.mp4\n".encode("cp1252"))
    assert table.rows[0][1] == {"clip_id": "Jürgen", "path": "ü.mp4"}
    assert table.warnings == (
        "m.csv: not UTF-8, read as Windows-1252; check names such as 'Jürgen', or save "
        "the file as UTF-8",
    )


@pytest.mark.parametrize("data", [b"\0\1\2", b"\xff\xfe\0", b"clip_id,path\n\x81,x\n"])
def test_a_file_that_is_not_text_is_refused(data: bytes, tmp_path: Path) -> None:
    """Byte 81 is not defined in Windows-1252."""
    with pytest.raises(ManifestError, match="not text; save it as UTF-8 CSV"):
        read(tmp_path, data)


@pytest.mark.timeout(20)
def test_a_device_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file, kind in (
        (tmp_path / "pipe", "named pipe"),
        (Path("/dev/zero"), "device"),
    ):
        with pytest.raises(ManifestError, match=kind):
            read_table(Problems(file=file), required=REQUIRED, allowed=ALLOWED)


@pytest.mark.parametrize("character", ["\n", "\r\n", "\u2028", "\x85", "\x0b", "\x1e"])
def test_a_line_break_in_a_quoted_cell_is_kept(character: str, tmp_path: Path) -> None:
    """It is part of the value, and the next record has its right line number."""
    text = f'clip_id,path\n"a{character}b",x.mp4\nc,y.mp4\n'
    table, _ = read(tmp_path, text.encode())
    assert table.rows[0] == (2, {"clip_id": f"a{character}b", "path": "x.mp4"})
    assert table.rows[1][0] == (4 if "\n" in character else 3)


def test_unknown_columns_are_ignored_with_a_warning(tmp_path: Path) -> None:
    table, _ = read(tmp_path, b"clip_id,path,age,,sex\na,x.mp4,31,?,f\n")
    assert table.rows[0][1] == {"clip_id": "a", "path": "x.mp4"}
    assert table.warnings == (
        "m.csv: columns without a meaning are ignored: 'age', one without a name, "
        "'sex'",
    )


@pytest.mark.parametrize(
    ("head", "match"),
    [
        ("clip_id,path,notes", r"unknown 'notes' \(did you mean 'note'\?\)"),
        ("clip_id,path,start", r"unknown 'start' \(did you mean 'start_s'\?\)"),
        ("clip_id,path,PATH", "repeated 'path'"),
        ("id;file", "missing 'clip_id', 'path'; unknown 'id', 'file'. Found 2 col"),
        ("clip_id;file", "missing 'path'; unknown 'file'. Found 2 columns separated by "
         "semicolons"),
        ('"clip_id,path', "line 1: not CSV"),
    ],
)  # fmt: skip
def test_columns_that_would_lose_values_are_refused(
    head: str, match: str, tmp_path: Path
) -> None:
    """A column that looks like a misspelled one is never ignored."""
    with pytest.raises(ManifestError, match=match):
        read(tmp_path, head.encode() + b"\n")


def test_empty_cells_at_the_edges_are_skipped(tmp_path: Path) -> None:
    """Excel writes them for cells that were once used. A value there is a problem."""
    table, problems = read(tmp_path, b"clip_id;path;;\na;x.mp4;;\n;;;\n\nb;y.mp4;;1\n")
    assert [line for line, _ in table.rows] == [2]
    assert table.warnings == ("m.csv: 1 lines have only empty cells, skipped",)
    ((text, lines),) = problems.lines_of.items()
    assert (lines, text[:17]) == ([5], "expected 2 values")
    assert "semicolons" in text


def test_all_problems_are_in_one_error_and_advice_once(tmp_path: Path) -> None:
    problems = Problems(file=Path("m.csv"))
    problems.raise_if_any()
    for line in range(2, 10):
        problems.add(line, "word 'x' is unknown", "expected one of a, b")
    problems.add(3, "word 'y' is unknown", "expected one of a, b")
    with pytest.raises(ManifestProblemsError) as raised:
        problems.raise_if_any()
    assert str(raised.value).split("\n") == [
        "manifest m.csv: 9 problems",
        "lines 2, 3, 4, 5, 6 and 3 more: word 'x' is unknown",
        "line 3: word 'y' is unknown",
        "expected one of a, b",
    ]
    for line in range(100):
        problems.add(line, f"problem {line}")
    with pytest.raises(ManifestProblemsError, match="82 more") as raised:
        problems.raise_if_any()
    assert len(str(raised.value).split("\n")) == MAX_PROBLEMS + 3
