"""Names that are often one person have one key; other names do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.speaker_names import similarity_key

SAME = [
    ("1", "1.0"),
    ("1", "1,0"),
    ("1", "01"),
    ("1", "0001.00"),
    ("actor 1", "Actor_01"),
    ("s7", "S07"),
    ("Anna", "anna"),
    ("Anna", " anna "),
    ("Anna B", "Anna  B"),
    ("Anna-Lena", "anna lena"),
    ("Zo\u00eb", "Zoe\u0308"),
    ("\uff11\uff12", "12"),
    ("Stra\u00dfe", "STRASSE"),
    ("0", "00"),
]
OTHER = [
    ("1", "10"),
    ("1", "1.5"),
    ("1", "11"),
    ("s1", "s10"),
    ("100", "1"),
    ("anna", "anne"),
    ("a1", "a01b"),
    ("-", "_"),
    ("1.0", "10"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert similarity_key(one) == similarity_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_names_have_other_keys(one: str, other: str) -> None:
    assert similarity_key(one) != similarity_key(other)


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_numbers_are_compared_by_value(one: int, other: int) -> None:
    """The oracle compares integers."""
    keys = similarity_key(f"{one:04d}"), similarity_key(f"{other}.0")
    assert (keys[0] == keys[1]) == (one == other)
