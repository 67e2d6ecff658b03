"""Parts of a planned build: which shards a job prepares, and which are missing.

Pure functions, but for `part_from_environment`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmder_store.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One of several equal parts of the shards."""

    number: int
    """Number of the part, from 1."""
    parts: int

    def shards(self, total: int) -> range:
        """Return every `parts`-th shard of `total`, beginning with that of the part."""
        return range(self.number - 1, total, self.parts)


def parse_part(text: str) -> Part:
    """Parse a part such as ``2/8``.

    Raises:
        SettingsError: If it is not ``K/N`` with 1 <= K <= N.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        msg = f"--part {text!r}: expected K/N with K from 1 to N, such as 2/8"
        raise SettingsError(msg)
    return Part(number=int(match[1]), parts=int(match[2]))


def parse_shards(text: str, total: int) -> list[int]:
    """Parse a list of shards such as ``3,17-20``, as sbatch --array takes it.

    Raises:
        SettingsError: If it has another form, or names a shard that does not exist.
    """
    shards: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})(?:-(\d{1,7}))?\s*", item)
        if match is None:
            msg = f"--shards {text!r}: expected numbers and ranges, such as 3,17-20"
            raise SettingsError(msg)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= total:
            msg = (
                f"--shards {text!r}: {item.strip()} is not within the shards 0 to "
                f"{total - 1}"
            )
            raise SettingsError(msg)
        shards.update(range(first, last + 1))
    return sorted(shards)


def format_shards(shards: Sequence[int]) -> str:
    """Return a list of shards as text, with ranges: the inverse of `parse_shards`."""
    runs: list[list[int]] = []
    for shard in sorted(shards):
        if runs and shard == runs[-1][1] + 1:
            runs[-1][1] = shard
        else:
            runs.append([shard, shard])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def part_from_environment(environment: Mapping[str, str] = os.environ) -> Part:
    """Return the part of this task of a SLURM job array; all shards outside one.

    Raises:
        SettingsError: If the numbers of the tasks have gaps.
    """
    names = ("TASK_ID", "TASK_MIN", "TASK_MAX", "TASK_COUNT")
    values = [environment.get(f"SLURM_ARRAY_{name}", "") for name in names]
    if not values[0]:
        return Part(number=1, parts=1)
    if not all(value.isdecimal() for value in values):
        msg = (
            "SLURM_ARRAY_TASK_ID is set, and SLURM_ARRAY_TASK_MIN, _MAX and _COUNT are "
            "not numbers. Pass --part or --shards."
        )
        raise SettingsError(msg)
    task, first, last, count = map(int, values)
    if last - first + 1 != count:
        msg = (
            f"the array has {count} tasks with numbers from {first} to {last}, so they "
            "are no equal parts. Use --shards $SLURM_ARRAY_TASK_ID for an array of "
            "shards, or tasks without gaps."
        )
        raise SettingsError(msg)
    return Part(number=task - first + 1, parts=count)
