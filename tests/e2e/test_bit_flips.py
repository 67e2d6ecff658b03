"""Drills on a store: flipped bits are never silent, and kills leave nothing behind."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from fake_store import make_store
from mmder_store import Store
from mmder_store.errors import MmderError
from run_cli import invoke

FLIPS = 200
SEED = 11
pytestmark = pytest.mark.slow


def values(store: Path) -> dict[str, Any]:
    """Return everything that a store says, read by Zarr and as JSON, unchecked."""
    group: Any = zarr.open_group(store, mode="r", use_consolidated=False)
    names = [file.parent.name for file in store.glob("*/zarr.json")]
    content: dict[str, Any] = {
        name: repr(np.asarray(group[name][:]).tolist())
        if group[name].ndim == 1
        else group[name][:].tobytes()
        for name in names
    }
    for file in store.rglob("*.json"):
        content[str(file)] = json.dumps(json.loads(file.read_bytes()))
    return content


def read_as_trainer(store: Path) -> dict[str, bytes]:
    """Read every column, and every clip of the arrays of CFAS."""
    opened = Store(store)
    columns = {name: repr(list(c)).encode() for name, c in opened.columns.items()}
    return columns | {
        name: opened.read_batch(name, range(len(opened))).tobytes()
        for name in ("frames", "mfcc_16")
    }


def test_no_flipped_bit_is_silent(tmp_path: Path) -> None:
    """200 flips, spread over all files in equal parts, one at a time.

    `verify` finds each that changes anything that the store says. What the trainer
    reads is right, or an error of one line.
    """
    store = tmp_path / "s"
    make_store(store, clips=10)
    files = sorted(f for f in store.rglob("*") if f.is_file() and f.stat().st_size)
    expected, sound = read_as_trainer(store), values(store)
    rng = random.Random(SEED)
    found, lines = 0, []
    for number in range(FLIPS):
        file = files[number % len(files)]
        whole = file.read_bytes()
        position, bit = rng.randrange(len(whole)), rng.randrange(8)
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit
        file.write_bytes(flipped)
        case = (str(file.relative_to(store)), position, bit)
        result = invoke("mmder_prep", "verify", store)
        assert isinstance(result.exception, SystemExit | None), case
        assert "Traceback" not in result.output, case
        if result.exit_code == 0:
            assert values(store) == sound, case
        found += result.exit_code
        try:
            assert read_as_trainer(store) == expected, case
        except MmderError as error:
            lines.append(str(error))
        file.write_bytes(whole)
    assert found > 0.9 * FLIPS
    assert len(lines) > FLIPS / 3
    assert not any("\n" in line for line in lines)
    assert values(store) == sound
    shutil.rmtree(store)
