"""Parts of a planned build: lists of shards, and tasks of a job array."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.pipeline.parts import (
    Part,
    format_shards,
    parse_part,
    parse_shards,
    part_from_environment,
)
from mmder_store.errors import SettingsError


@given(total=st.integers(0, 200), parts=st.integers(1, 30))
def test_every_shard_is_in_exactly_one_part(total: int, parts: int) -> None:
    shards = [
        shard
        for number in range(1, parts + 1)
        for shard in Part(number=number, parts=parts).shards(total)
    ]
    assert sorted(shards) == list(range(total))


@given(st.sets(st.integers(0, 60), min_size=1))
def test_a_list_of_shards_is_read_back(shards: set[int]) -> None:
    assert parse_shards(format_shards(sorted(shards)), 61) == sorted(shards)


def test_lists_have_the_form_of_sbatch() -> None:
    assert format_shards([3, 17, 18, 19, 20, 5]) == "3,5,17-20"
    assert format_shards([]) == ""
    assert parse_shards(" 3, 17-20,18", 21) == [3, 17, 18, 19, 20]


@pytest.mark.parametrize("text", ["", "a", "3-", "5-4", "7", "1,,2", "-1"])
def test_wrong_lists_are_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match="--shards"):
        parse_shards(text, 7)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3"])
def test_wrong_parts_are_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match="--part"):
        parse_part(text)


def array(task: int, first: int, last: int, count: int) -> dict[str, str]:
    values = {"ID": task, "MIN": first, "MAX": last, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_a_task_of_a_job_array_has_its_part() -> None:
    assert parse_part("2/8") == Part(number=2, parts=8)
    assert part_from_environment({}) == Part(number=1, parts=1)
    assert part_from_environment(array(0, 0, 3, 4)) == Part(number=1, parts=4)
    assert part_from_environment(array(7, 5, 8, 4)) == Part(number=3, parts=4)


def test_an_array_with_gaps_is_no_division_into_parts() -> None:
    """Such arrays repeat single shards, which --shards names."""
    with pytest.raises(SettingsError, match=r"Use --shards \$SLURM_ARRAY_TASK_ID"):
        part_from_environment(array(3, 3, 20, 5))
    with pytest.raises(SettingsError, match="are not numbers"):
        part_from_environment({"SLURM_ARRAY_TASK_ID": "3"})
