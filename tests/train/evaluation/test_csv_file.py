"""CSV files of other programs and of spreadsheets are read strictly."""

from pathlib import Path

import pytest

from mmder_store.errors import SettingsError
from mmder_train.evaluation import csv_file
from mmder_train.evaluation.csv_file import read_csv


def test_columns_and_lines(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, quotes and empty lines are accepted."""
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffclip_id, note\r\n\r\n"x, y", 1\r\nz,2\r\n'.encode())
    found = read_csv(path, required=["clip_id"])
    assert found.columns == ("clip_id", "note")
    assert found.column("clip_id") == ["x, y", "z"]
    assert str(found.error(1, "problem")) == "a.csv, line 4: problem"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'clip_id' in the header ()"),
        (b"clip_id\n", "no rows; expected one per clip"),
        (b"a;b\n1;2\n", "no column 'clip_id' in the header (a, b); expected unique"),
        (b"clip_id,a,a\n1,2,3\n", "two columns of one name"),
        (b"clip_id,a\n1\n", "line 2: 1 cells; expected 2, as in the header"),
        (b"clip_id\n\0\n", "a.csv: not text; save it as UTF-8 CSV"),
        (b'clip_id\n"a\n', "a.csv, line 2: not CSV"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_csv(path, required=["clip_id"])
    assert message in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_separators_are_recognized(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("note,clip_id\nx,y\n".replace(",", delimiter))
    assert read_csv(path, required=["clip_id"]).column("clip_id") == ["y"]


@pytest.mark.parametrize(
    ("content", "guessed"),
    [
        ("sep=;\r\nclip_id;p\r\nJos\u00e9;0,5\r\n".encode("cp1252"), True),
        ("clip_id\tp\r\nJos\u00e9\t0,5\r\n".encode("utf-16"), False),
        ("clip_id;p\nJos\u00e9;0,5\n".encode("utf-8-sig"), False),
    ],
)
def test_files_of_spreadsheets_are_read(
    content: bytes, guessed: bool, tmp_path: Path
) -> None:
    """As Excel saves them where the decimal separator is a comma."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = read_csv(path, required=["clip_id"])
    assert found.column("clip_id") == ["Jos\u00e9"]
    assert found.column("p") == ["0,5"]
    assert found.decimal_comma
    assert bool(found.warnings) == guessed
    assert all("read as Windows-1252" in w for w in found.warnings)


def test_missing_and_large_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="no such file; expected a CSV file"):
        read_csv(tmp_path / "none.csv", required=[])
    with pytest.raises(SettingsError, match="not a file; expected a CSV file"):
        read_csv(tmp_path, required=[])
    monkeypatch.setattr(csv_file, "MAX_BYTES", 3)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(SettingsError, match="larger than"):
        read_csv(tmp_path / "a.csv", required=["a"])
