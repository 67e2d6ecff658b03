"""Verification finds every damaged shard."""

from pathlib import Path

import pytest

from mmder_store import Store, ledger
from mmder_store.verify import verify_store


@pytest.mark.parametrize("damage", ["delete", "empty", "truncate", "flip"])
def test_every_damage_to_a_shard_is_found(store: Path, damage: str) -> None:
    """A missing, empty, truncated or altered file: the line names shard and array."""
    file = store / "mfcc_16" / "c" / "1" / "0" / "0" / "0"
    data = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 3] ^= 1
        file.write_bytes(data)
    problems = list(map(str, verify_store(Store(store))))
    assert len(problems) == 1
    assert problems[0].startswith("shard 1, mfcc_16:")


def test_missing_and_swapped_records_are_found(store: Path) -> None:
    record = ledger.read(store, 0)
    assert record is not None
    ledger.write(
        store,
        ledger.ShardRecord(
            shard=0, clips=record.clips[::-1], checksums=record.checksums
        ),
    )
    ledger.drop(store, 2)
    assert list(map(str, verify_store(Store(store)))) == [
        "shard 0: ledger and column clip_id differ",
        "shard 2: no ledger file",
    ]


def test_an_invalid_ledger_file_is_a_problem_of_its_shard(store: Path) -> None:
    (store / "ledger" / "000001.json").write_text("{}")
    (problem,) = verify_store(Store(store))
    assert problem.shard == 1
    assert "000001.json" in problem.text
