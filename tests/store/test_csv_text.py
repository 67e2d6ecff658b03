"""Encodings and separators of CSV files."""

import pytest

from mmder_store.csv_text import CsvTextError, decode, split_text

TEXT = "name;other\nJos\u00e9;1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_are_certain(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == (TEXT, "")


def test_windows_1252_is_guessed_and_shown_by_a_word() -> None:
    assert decode(TEXT.encode("cp1252")) == (TEXT, "Jos\u00e9")


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfea", b"\x81\xff"])
def test_other_bytes_are_not_text(data: bytes) -> None:
    with pytest.raises(ValueError, match="not text; save it as UTF-8 CSV"):
        decode(data)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_known_columns_decide_on_the_separator(separator: str) -> None:
    """The other separators may occur in names."""
    other = ";" if separator == "," else ","
    text = f"a{other}b{other}c{separator}name\n"
    found = split_text(text, is_known=lambda cell: cell == "name")
    assert found.separator == separator
    assert found.decimal_comma == (separator != ",")


def test_lines_are_numbered_in_the_file() -> None:
    text = 'sep=|\r\nname|x\r\n\r\n"two\nlines"|1\r\nlast|2\r\n'
    found = split_text(text, is_known=lambda _: False)
    assert list(found.records()) == [
        (2, ["name", "x"]),
        (4, ["two\nlines", "1"]),
        (6, ["last", "2"]),
    ]
    with pytest.raises(CsvTextError) as raised:
        list(split_text('a,b\n"c,d\n', is_known=lambda _: True).records())
    assert raised.value.line == 2
