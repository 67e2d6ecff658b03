"""CSV files of other programs are read strictly."""

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
        (b"a;b\n1;2\n", "no column 'clip_id' in the header (a;b); expected unique"),
        (b"clip_id,a,a\n1,2,3\n", "two columns of one name"),
        (b"clip_id,a\n1\n", "line 2: 1 cells; expected 2, as in the header"),
        (b"clip_id\n\xff\xfe\n", "not a CSV file in UTF-8"),
        (b'clip_id\n"a\n', "not a CSV file in UTF-8"),
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
